-- The keys of rows that differ, of each table; tables have up to three columns in their keys.
CREATE TABLE differing (
    name   TEXT NOT NULL,
    first  TEXT NOT NULL,
    second TEXT,
    third  TEXT
) STRICT;
CREATE INDEX differing_by_name ON differing (name)
