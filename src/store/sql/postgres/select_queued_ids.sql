-- The first deliveries of each of a webhook's queues, from the queue after $3 on or from the first one:
-- at most $5 of a queue, and $4 queues. Jumps from queue to queue: it costs queues, not deliveries.
WITH RECURSIVE queues (queue, number) AS (
    SELECT coalesce($3::text, '') COLLATE "C", 0::bigint
    UNION ALL
    SELECT next.queue, queues.number + 1
      FROM queues
           CROSS JOIN LATERAL (SELECT d.queue
                                 FROM deliveries d
                                WHERE d.tenant_id = $1 AND d.webhook_id = $2
                                  AND d.queue > queues.queue
                                  AND d.next_attempt_at IS NOT NULL AND d.queue IS NOT NULL
                                ORDER BY d.queue
                                LIMIT 1) AS next
     WHERE queues.number < $4
)
SELECT d.id
  FROM queues q
       CROSS JOIN LATERAL (SELECT e.id
                             FROM deliveries e
                            WHERE e.tenant_id = $1 AND e.webhook_id = $2 AND e.queue = q.queue
                              AND e.next_attempt_at IS NOT NULL AND e.queue IS NOT NULL
                            ORDER BY e.queue, e.id
                            LIMIT $5) AS d
 WHERE q.number > 0 OR $3 IS NULL
 ORDER BY q.queue, d.id
