-- The first deliveries of a webhook's next queues, in the order of the queues and then of their own
-- ids: at most ?4 queues behind ?3 (all, if that is null), at most ?5 deliveries of each. It jumps from
-- queue to queue: it costs what it gives, however long the queues are.
WITH RECURSIVE queues (queue, number) AS (
    SELECT (SELECT min(queue)
              FROM (SELECT (SELECT d.queue
                              FROM deliveries d INDEXED BY deliveries_queued
                             WHERE d.tenant_id = ?1 AND d.webhook_id = ?2 AND d.queue = ''
                               AND d.next_attempt_at IS NOT NULL AND ?3 IS NULL
                             LIMIT 1) AS queue
                    UNION ALL
                    SELECT (SELECT d.queue
                              FROM deliveries d INDEXED BY deliveries_queued
                             WHERE d.tenant_id = ?1 AND d.webhook_id = ?2 AND d.queue > coalesce(?3, '')
                               AND d.next_attempt_at IS NOT NULL
                             ORDER BY d.queue
                             LIMIT 1))),
           1
    UNION ALL
    SELECT (SELECT d.queue
              FROM deliveries d INDEXED BY deliveries_queued
             WHERE d.tenant_id = ?1 AND d.webhook_id = ?2 AND d.queue > queues.queue
               AND d.next_attempt_at IS NOT NULL
             ORDER BY d.queue
             LIMIT 1),
           queues.number + 1
      FROM queues
     WHERE queues.queue IS NOT NULL AND queues.number < ?4
)
SELECT first.value AS id
  FROM queues
 CROSS JOIN json_each((SELECT json_group_array(id)
                         FROM (SELECT d.id
                                 FROM deliveries d INDEXED BY deliveries_queued
                                WHERE d.tenant_id = ?1 AND d.webhook_id = ?2 AND d.queue = queues.queue
                                  AND d.next_attempt_at IS NOT NULL
                                ORDER BY d.id
                                LIMIT ?5))) first
 ORDER BY queues.queue, first.value
