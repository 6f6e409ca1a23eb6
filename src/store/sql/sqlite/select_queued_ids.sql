-- The first deliveries of each of a webhook's queues, from the queue after ?3 on or from the first one:
-- at most ?5 of a queue, and ?4 queues. Jumps from queue to queue: it costs queues, not deliveries.
WITH RECURSIVE queues (queue, number) AS (
    SELECT coalesce(?3, ''), 0
    UNION ALL
    SELECT (SELECT min(d.queue)
              FROM deliveries d INDEXED BY deliveries_queued
             WHERE d.tenant_id = ?1 AND d.webhook_id = ?2 AND d.queue > queues.queue
               AND d.next_attempt_at IS NOT NULL AND d.queue IS NOT NULL),
           number + 1
      FROM queues
     WHERE queues.queue IS NOT NULL AND number < ?4
)
SELECT d.id
  FROM queues q
       CROSS JOIN deliveries d INDEXED BY deliveries_queued
 WHERE (q.number > 0 OR ?3 IS NULL)
   AND d.tenant_id = ?1 AND d.webhook_id = ?2 AND d.queue = q.queue
   AND d.next_attempt_at IS NOT NULL AND d.queue IS NOT NULL
   AND d.id IN (SELECT e.id
                  FROM deliveries e INDEXED BY deliveries_queued
                 WHERE e.tenant_id = ?1 AND e.webhook_id = ?2 AND e.queue = q.queue
                   AND e.next_attempt_at IS NOT NULL AND e.queue IS NOT NULL
                 ORDER BY e.id
                 LIMIT ?5)
 ORDER BY q.queue, d.id
