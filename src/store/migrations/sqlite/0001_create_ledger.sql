-- The truth. Rows are appended and never changed. The columns that sqlite-es reads keep its names.
CREATE TABLE events (
    position       INTEGER PRIMARY KEY,
    aggregate_type TEXT    NOT NULL,
    aggregate_id   TEXT    NOT NULL,
    sequence       INTEGER NOT NULL CHECK (sequence >= 1),
    event_type     TEXT    NOT NULL,
    event_version  TEXT    NOT NULL,
    payload        TEXT    NOT NULL,
    metadata       TEXT    NOT NULL,
    tenant_id      TEXT,
    recorded_at    INTEGER NOT NULL
) STRICT;

-- The fence: of two writers that append to one aggregate, one fails.
CREATE UNIQUE INDEX events_by_aggregate ON events (aggregate_type, aggregate_id, sequence);

-- The bytes that events tell the size and digest of: message bodies and response bodies. They lie
-- beside the events, so that erasing them never rewrites history.
CREATE TABLE bodies (
    position  INTEGER PRIMARY KEY REFERENCES events (position),
    tenant_id TEXT NOT NULL,
    text      TEXT NOT NULL
) STRICT;
