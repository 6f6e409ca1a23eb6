SELECT position FROM events WHERE position > $1 AND position <= $1 + $2 ORDER BY position
