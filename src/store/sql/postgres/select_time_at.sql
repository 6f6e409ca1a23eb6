-- The first event of a stretch of positions, which is few blocks.
SELECT position, recorded_at
  FROM events
 WHERE position >= $1 AND position < $1 + $2
 ORDER BY position
 LIMIT 1
