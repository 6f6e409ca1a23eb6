-- Events are chained to each other by their hashes; see store/chain.rs. Those that are there already
-- get theirs right after this step, in its transaction.
ALTER TABLE events ADD COLUMN hash BLOB NOT NULL DEFAULT x'';

-- The last event of each tenant, and of what belongs to none (the empty tenant).
CREATE TABLE heads (
    tenant_id TEXT    PRIMARY KEY,
    position  INTEGER NOT NULL,
    events    INTEGER NOT NULL,
    hash      BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- The events of a tenant in their order, those up to a position: what came after it is so little that it
-- is looked through. It is moved on some thousand at a time; see store/sqlite/recent.rs.
CREATE TABLE events_by_tenant (
    tenant_id TEXT    NOT NULL,
    position  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE events_settled (
    position INTEGER NOT NULL
) STRICT;
INSERT INTO events_settled (position) VALUES (0);

-- What the whole ledger was at some positions; see store/audit/seals.rs.
CREATE TABLE seals (
    number    INTEGER PRIMARY KEY,
    position  INTEGER NOT NULL,
    events    INTEGER NOT NULL,
    head      BLOB NOT NULL,
    sealed_at INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    signature BLOB
) STRICT;

-- What people do to tenants, webhooks and tokens is few among all events, and asked for most.
CREATE INDEX events_of_settings ON events (tenant_id, position)
    WHERE aggregate_type NOT IN ('message', 'delivery');

INSERT INTO events_by_tenant (tenant_id, position)
SELECT tenant_id, position FROM events WHERE tenant_id IS NOT NULL ORDER BY tenant_id, position;
UPDATE events_settled SET position = (SELECT coalesce(max(position), 0) FROM events);
