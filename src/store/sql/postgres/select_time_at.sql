-- The first event of a stretch of positions, which is few blocks. What is no time is one that is long past.
SELECT position, greatest(least(recorded_at, '9999-12-31'), '1900-01-01') AS recorded_at
  FROM events
 WHERE position >= $1 AND position <= $2
 ORDER BY position
 LIMIT 1
