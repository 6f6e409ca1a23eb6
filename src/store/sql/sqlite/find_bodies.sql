-- The bodies after a position, with what decides whether they go now: whether they are from before a
-- moment, and whether something is to be sent still.
SELECT b.position, octet_length(b.text) AS bytes, e.recorded_at < ?2 AS is_old,
       EXISTS (SELECT 1
                 FROM deliveries d
                WHERE d.message_id = e.aggregate_id AND d.next_attempt_at IS NOT NULL) AS is_needed
  FROM bodies b CROSS JOIN events e ON e.position = b.position
 WHERE b.position > ?1
 ORDER BY b.position
 LIMIT ?3
