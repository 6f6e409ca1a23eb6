INSERT INTO messages_by_tenant (tenant_id, id)
SELECT tenant_id, id FROM messages_recent ORDER BY tenant_id, id;
DELETE FROM messages_recent;

INSERT INTO deliveries_by_webhook (webhook_id, topic, id)
SELECT webhook_id, topic, id FROM deliveries_recent ORDER BY webhook_id, topic, id;
DELETE FROM deliveries_recent;

INSERT INTO attempts_by_webhook (webhook_id, topic, id)
SELECT webhook_id, topic, id FROM attempts_recent ORDER BY webhook_id, topic, id;
DELETE FROM attempts_recent;
