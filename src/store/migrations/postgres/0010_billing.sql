-- What Stripe has told of the tenants' subscriptions and invoices.
CREATE TABLE subscriptions (
    tenant_id            text        COLLATE "C" NOT NULL,
    id                   text        COLLATE "C" NOT NULL,
    customer_id          text,
    status               text        NOT NULL,
    plan                 text,
    current_period_end   timestamptz,
    cancel_at_period_end boolean     NOT NULL,
    created_at           timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX subscriptions_by_time ON subscriptions (tenant_id, created_at, id);

CREATE TABLE invoices (
    tenant_id       text        COLLATE "C" NOT NULL,
    id              text        COLLATE "C" NOT NULL,
    customer_id     text,
    subscription_id text,
    status          text        NOT NULL,
    amount_due      bigint      NOT NULL,
    amount_paid     bigint      NOT NULL,
    currency        text,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX invoices_by_time ON invoices (tenant_id, created_at, id);

-- Callbacks of which nobody knows whose they are.
CREATE TABLE unassigned_callbacks (
    id               text        COLLATE "C" PRIMARY KEY,
    received_at      timestamptz NOT NULL,
    reason           text        NOT NULL,
    type             text        NOT NULL,
    created_at       timestamptz NOT NULL,
    livemode         boolean,
    customer_id      text        COLLATE "C",
    metadata_tenant  text,
    client_reference text
);
CREATE INDEX unassigned_callbacks_by_time ON unassigned_callbacks (received_at, id);
CREATE INDEX unassigned_callbacks_by_customer ON unassigned_callbacks (customer_id, created_at, id)
    WHERE customer_id IS NOT NULL;

CREATE INDEX tenants_by_stripe_customer ON tenants (stripe_customer_id)
    WHERE stripe_customer_id IS NOT NULL;

-- A callback has its effect once, whatever tenant somebody gives it to: the key of events is one for each
-- tenant.
CREATE UNIQUE INDEX callbacks_once ON events (aggregate_id, aggregate_type, sequence)
    WHERE aggregate_type IN ('callback', 'unassigned_callback');
