-- What Stripe has told of the tenants' subscriptions and invoices.
CREATE TABLE subscriptions (
    tenant_id            TEXT    NOT NULL,
    id                   TEXT    NOT NULL,
    customer_id          TEXT,
    status               TEXT    NOT NULL,
    plan                 TEXT,
    current_period_end   INTEGER,
    cancel_at_period_end INTEGER NOT NULL,
    created_at           INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriptions_by_time ON subscriptions (tenant_id, created_at, id);

CREATE TABLE invoices (
    tenant_id       TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    customer_id     TEXT,
    subscription_id TEXT,
    status          TEXT    NOT NULL,
    amount_due      INTEGER NOT NULL,
    amount_paid     INTEGER NOT NULL,
    currency        TEXT,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX invoices_by_time ON invoices (tenant_id, created_at, id);

-- Callbacks of which nobody knows whose they are.
CREATE TABLE unassigned_callbacks (
    id               TEXT    PRIMARY KEY,
    received_at      INTEGER NOT NULL,
    reason           TEXT    NOT NULL,
    type             TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    livemode         INTEGER,
    customer_id      TEXT,
    metadata_tenant  TEXT,
    client_reference TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX unassigned_callbacks_by_time ON unassigned_callbacks (received_at, id);
CREATE INDEX unassigned_callbacks_by_customer ON unassigned_callbacks (customer_id, created_at, id)
    WHERE customer_id IS NOT NULL;

CREATE INDEX tenants_by_stripe_customer ON tenants (stripe_customer_id)
    WHERE stripe_customer_id IS NOT NULL;
