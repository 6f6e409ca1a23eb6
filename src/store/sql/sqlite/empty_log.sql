-- Moves the write-ahead log into the database and cuts it to nothing. Says whether somebody was in
-- its way.
PRAGMA wal_checkpoint(TRUNCATE)
