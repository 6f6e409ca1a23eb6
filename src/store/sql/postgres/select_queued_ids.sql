-- The first deliveries of a webhook's next queues, in the order of the queues and then of their own
-- ids: at most $4 queues behind $3 (all, if that is null), at most $5 deliveries of each. It jumps from
-- queue to queue: it costs what it gives, however long the queues are. The orders within keep the
-- planner from walking the table for one row.
WITH RECURSIVE queues AS (
    (SELECT queue, 1 AS number
       FROM ((SELECT d.queue
                FROM deliveries d
               WHERE d.tenant_id = $1 AND d.webhook_id = $2 AND d.queue = ''
                 AND d.next_attempt_at IS NOT NULL AND $3::text IS NULL
               ORDER BY d.id
               LIMIT 1)
             UNION ALL
             (SELECT d.queue
                FROM deliveries d
               WHERE d.tenant_id = $1 AND d.webhook_id = $2 AND d.queue > coalesce($3, '')
                 AND d.next_attempt_at IS NOT NULL
               ORDER BY d.queue
               LIMIT 1)) first
      ORDER BY queue
      LIMIT 1)
    UNION ALL
    SELECT next.queue, queues.number + 1
      FROM queues
     CROSS JOIN LATERAL (SELECT d.queue
                           FROM deliveries d
                          WHERE d.tenant_id = $1 AND d.webhook_id = $2 AND d.queue > queues.queue
                            AND d.next_attempt_at IS NOT NULL
                          ORDER BY d.queue
                          LIMIT 1) next
     WHERE queues.number < $4
)
SELECT first.id
  FROM queues
 CROSS JOIN LATERAL (SELECT d.id
                       FROM deliveries d
                      WHERE d.tenant_id = $1 AND d.webhook_id = $2 AND d.queue = queues.queue
                        AND d.next_attempt_at IS NOT NULL
                      ORDER BY d.id
                      LIMIT $5) first
 ORDER BY queues.queue, first.id
