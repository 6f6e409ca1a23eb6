-- Who serves this database. A node is alive until its lease ends, by this database's clock.
CREATE TABLE nodes (
    id               uuid        PRIMARY KEY,
    version          text        NOT NULL,
    address          text        NOT NULL,
    started_at       timestamptz NOT NULL,
    lease_expires_at timestamptz NOT NULL,
    lag_ms           bigint      NOT NULL
);

-- Tenants hash into these; a node sends what is due in those that it holds. The epoch counts the
-- holders, so that nobody takes a lease that he lost and got again for the one that he had.
CREATE TABLE partitions (
    id      smallint PRIMARY KEY,
    node_id uuid,
    epoch   bigint   NOT NULL DEFAULT 0
);
INSERT INTO partitions (id) SELECT generate_series(0, 255);
