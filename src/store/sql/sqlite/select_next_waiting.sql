-- The first webhook after the given one that has something to be sent, and when the first of them is
-- due. Asked again and again it jumps from webhook to webhook: it costs webhooks, not deliveries.
-- Two seeks, because of (tenant_id, webhook_id) > (?1, ?2) SQLite walks all rows that are equal.
-- What waits for a deleted webhook is to be cancelled and is due at once.
SELECT d.tenant_id, d.webhook_id,
       CASE WHEN EXISTS (SELECT 1 FROM webhooks w
                          WHERE w.tenant_id = d.tenant_id AND w.id = d.webhook_id AND w.is_deleted)
            THEN 0 ELSE d.next_attempt_at END AS next_attempt_at
FROM (
SELECT * FROM (
    SELECT tenant_id, webhook_id, next_attempt_at
      FROM deliveries INDEXED BY deliveries_due
     WHERE next_attempt_at IS NOT NULL AND tenant_id = ?1 AND webhook_id > ?2
     ORDER BY webhook_id, next_attempt_at
     LIMIT 1
)
UNION ALL
SELECT * FROM (
    SELECT tenant_id, webhook_id, next_attempt_at
      FROM deliveries INDEXED BY deliveries_due
     WHERE next_attempt_at IS NOT NULL AND tenant_id > ?1
     ORDER BY tenant_id, webhook_id, next_attempt_at
     LIMIT 1
)
 ORDER BY tenant_id
 LIMIT 1
) d
