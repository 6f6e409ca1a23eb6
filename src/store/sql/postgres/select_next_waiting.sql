-- The first webhook after the given one that has something to be sent, and when the first of them is
-- due. Asked again and again it jumps from webhook to webhook: it costs webhooks, not deliveries.
-- What waits for a deleted webhook is to be cancelled and is due at once.
SELECT d.tenant_id, d.webhook_id,
       CASE WHEN EXISTS (SELECT FROM webhooks w
                          WHERE w.tenant_id = d.tenant_id AND w.id = d.webhook_id AND w.is_deleted)
            THEN to_timestamp(0) ELSE d.next_attempt_at END AS next_attempt_at
  FROM deliveries d
 WHERE d.next_attempt_at IS NOT NULL AND (d.tenant_id, d.webhook_id) > ($1, $2)
 ORDER BY d.tenant_id, d.webhook_id, d.next_attempt_at
 LIMIT 1
