-- Every event notes one row at most.
SELECT count(*) FROM events WHERE position > (SELECT position FROM events_settled)
