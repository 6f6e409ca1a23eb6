-- The first deliveries of some of a webhook's queues (?3, a JSON array), those of a queue one after
-- another in the order of their ids: at most ?4 of each.
SELECT first.value AS id
  FROM json_each(?3) wanted
 CROSS JOIN json_each((SELECT json_group_array(id)
                         FROM (SELECT d.id
                                 FROM deliveries d INDEXED BY deliveries_queued
                                WHERE d.tenant_id = ?1 AND d.webhook_id = ?2 AND d.queue = wanted.value
                                  AND d.next_attempt_at IS NOT NULL
                                ORDER BY d.id
                                LIMIT ?4))) first
 ORDER BY wanted.key, first.value
