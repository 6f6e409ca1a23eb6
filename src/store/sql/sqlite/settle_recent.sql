INSERT INTO messages_by_tenant (tenant_id, id)
SELECT tenant_id, id FROM messages_recent ORDER BY tenant_id, id;
DELETE FROM messages_recent;

INSERT INTO deliveries_by_webhook (webhook_id, topic, id)
SELECT webhook_id, topic, id FROM deliveries_recent ORDER BY webhook_id, topic, id;
DELETE FROM deliveries_recent;

INSERT INTO attempts_by_webhook (webhook_id, topic, id)
SELECT webhook_id, topic, id FROM attempts_recent ORDER BY webhook_id, topic, id;
DELETE FROM attempts_recent;

INSERT INTO events_by_tenant (tenant_id, position)
SELECT tenant_id, position
  FROM events
 WHERE position > (SELECT position FROM events_settled) AND tenant_id IS NOT NULL
 ORDER BY tenant_id, position;
UPDATE events_settled SET position = (SELECT coalesce(max(position), 0) FROM events);
