-- The first deliveries of some of a webhook's queues, those of a queue one after another in the
-- order of their ids: at most $4 of each.
SELECT first.id
  FROM unnest($3::text[]) WITH ORDINALITY wanted (queue, number)
 CROSS JOIN LATERAL (SELECT d.id
                       FROM deliveries d
                      WHERE d.tenant_id = $1 AND d.webhook_id = $2 AND d.queue = wanted.queue
                        AND d.next_attempt_at IS NOT NULL
                      ORDER BY d.id
                      LIMIT $4) first
 ORDER BY wanted.number, first.id
