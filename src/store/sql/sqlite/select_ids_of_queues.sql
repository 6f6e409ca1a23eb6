-- The first deliveries of each of these queues of a webhook, at most ?4 of a queue.
SELECT d.id
  FROM json_each(?3) q
       CROSS JOIN deliveries d INDEXED BY deliveries_queued
 WHERE d.tenant_id = ?1 AND d.webhook_id = ?2 AND d.queue = q.value
   AND d.next_attempt_at IS NOT NULL AND d.queue IS NOT NULL
   AND d.id IN (SELECT e.id
                  FROM deliveries e INDEXED BY deliveries_queued
                 WHERE e.tenant_id = ?1 AND e.webhook_id = ?2 AND e.queue = q.value
                   AND e.next_attempt_at IS NOT NULL AND e.queue IS NOT NULL
                 ORDER BY e.id
                 LIMIT ?4)
 ORDER BY d.queue, d.id
