-- The first deliveries of each of these queues of a webhook, at most $4 of a queue.
SELECT d.id
  FROM unnest($3::text[]) AS q (queue)
       CROSS JOIN LATERAL (SELECT e.queue, e.id
                             FROM deliveries e
                            WHERE e.tenant_id = $1 AND e.webhook_id = $2
                              AND e.queue = q.queue COLLATE "C"
                              AND e.next_attempt_at IS NOT NULL AND e.queue IS NOT NULL
                            ORDER BY e.queue, e.id
                            LIMIT $4) AS d
 ORDER BY d.queue, d.id
