-- The first webhook after the given one that has pending deliveries, and when the first of them is
-- due. Asked again and again it jumps from webhook to webhook: it costs webhooks, not deliveries.
-- Two seeks, because of (tenant_id, webhook_id) > (?1, ?2) SQLite walks all rows that are equal.
SELECT * FROM (
    SELECT tenant_id, webhook_id, next_attempt_at
      FROM deliveries INDEXED BY deliveries_due
     WHERE status = 'pending' AND tenant_id = ?1 AND webhook_id > ?2
     ORDER BY webhook_id, next_attempt_at
     LIMIT 1
)
UNION ALL
SELECT * FROM (
    SELECT tenant_id, webhook_id, next_attempt_at
      FROM deliveries INDEXED BY deliveries_due
     WHERE status = 'pending' AND tenant_id > ?1
     ORDER BY tenant_id, webhook_id, next_attempt_at
     LIMIT 1
)
 ORDER BY tenant_id
 LIMIT 1
