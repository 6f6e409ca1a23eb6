-- Unless something is to be sent still.
DELETE FROM bodies
 WHERE position = ?1
   AND NOT EXISTS (SELECT 1
                     FROM events e CROSS JOIN deliveries d ON d.message_id = e.aggregate_id
                    WHERE e.position = ?1 AND d.next_attempt_at IS NOT NULL)
