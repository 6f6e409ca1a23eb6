-- Derived from the events, in the transaction that appends them.
CREATE TABLE tenants (
    id                 text    COLLATE "C" PRIMARY KEY,
    name               text    NOT NULL,
    stripe_customer_id text,
    is_suspended       boolean NOT NULL
);

CREATE TABLE tokens (
    tenant_id    text COLLATE "C" NOT NULL,
    id           uuid NOT NULL,
    name         text NOT NULL,
    role         text NOT NULL,
    token_sha256 text NOT NULL,
    expires_at   timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX tokens_by_id ON tokens (id);

CREATE TABLE topics (
    name        text COLLATE "C" PRIMARY KEY,
    description text NOT NULL
);

CREATE TABLE webhooks (
    tenant_id  text        COLLATE "C" NOT NULL,
    id         uuid        NOT NULL,
    config     json        NOT NULL,
    is_active  boolean     NOT NULL,
    secrets    json        NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version    bigint      NOT NULL,
    is_deleted boolean     NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

-- Ids are UUIDv7 and rise with time: the key is the order of lists, too.
CREATE TABLE messages (
    tenant_id       text        COLLATE "C" NOT NULL,
    id              uuid        NOT NULL,
    topic           text        COLLATE "C" NOT NULL,
    timestamp       timestamptz NOT NULL,
    accepted_at     timestamptz NOT NULL,
    ordering_key    text,
    body_bytes      bigint      NOT NULL,
    body_sha256     text        NOT NULL,
    idempotency_key text        COLLATE "C",
    content_sha256  text,
    deliveries      bigint      NOT NULL,
    not_delivered   json        NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX messages_by_idempotency_key ON messages (tenant_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE TABLE deliveries (
    tenant_id            text        COLLATE "C" NOT NULL,
    id                   uuid        NOT NULL,
    message_id           uuid        NOT NULL,
    webhook_id           uuid        NOT NULL,
    topic                text        COLLATE "C" NOT NULL,
    trigger              text        NOT NULL,
    status               text        NOT NULL,
    attempts             bigint      NOT NULL,
    created_at           timestamptz NOT NULL,
    next_attempt_at      timestamptz,
    completed_at         timestamptz,
    last_response_status integer,
    last_error_code      text,
    last_error_message   text,
    PRIMARY KEY (tenant_id, id)
)
-- Every row is changed once, soon after it was made, and leaves a dead entry in the index of what is
-- due. They are cleaned up by the ten thousand, however large the table is.
WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
      autovacuum_analyze_scale_factor = 0.02);
-- Lists are merged from here; see store/postgres/filters.rs. A webhook has one tenant, and its id is
-- compared faster than that of the tenant.
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id, topic, id);
CREATE INDEX deliveries_by_message ON deliveries (message_id);
-- Few deliveries stand otherwise than succeeded; these are the ones that people look for.
CREATE INDEX deliveries_not_succeeded ON deliveries (webhook_id, topic, status, id)
    WHERE status <> 'succeeded';
-- What is still to be sent, as the lanes read it.
CREATE INDEX deliveries_due ON deliveries (tenant_id, webhook_id, next_attempt_at, id)
    WHERE status = 'pending';
CREATE INDEX deliveries_due_tests ON deliveries (tenant_id, webhook_id)
    WHERE status = 'pending' AND trigger = 'test';

CREATE TABLE attempts (
    tenant_id        text        COLLATE "C" NOT NULL,
    id               uuid        NOT NULL,
    delivery_id      uuid        NOT NULL,
    message_id       uuid        NOT NULL,
    webhook_id       uuid        NOT NULL,
    webhook_version  bigint      NOT NULL,
    topic            text        COLLATE "C" NOT NULL,
    number           bigint      NOT NULL,
    trigger          text        NOT NULL,
    started_at       timestamptz NOT NULL,
    duration_ms      bigint      NOT NULL,
    url              text        NOT NULL,
    response_status  integer,
    response_headers json,
    body_truncated   boolean     NOT NULL,
    error_code       text,
    error_message    text,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX attempts_by_webhook ON attempts (webhook_id, topic, id);
CREATE INDEX attempts_by_delivery ON attempts (delivery_id);
-- Most attempts succeed with 200; the others are the ones that people look for.
CREATE INDEX attempts_failed ON attempts (webhook_id, topic, id) WHERE error_code IS NOT NULL;
CREATE INDEX attempts_not_200 ON attempts (webhook_id, topic, response_status, id)
    WHERE response_status <> 200;
