-- Derived from the events, in the transaction that appends them. Times are milliseconds since 1970.
CREATE TABLE tenants (
    id                 TEXT    PRIMARY KEY,
    name               TEXT    NOT NULL,
    stripe_customer_id TEXT,
    is_suspended       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    tenant_id    TEXT NOT NULL,
    id           TEXT NOT NULL,
    name         TEXT NOT NULL,
    role         TEXT NOT NULL,
    token_sha256 TEXT NOT NULL,
    expires_at   INTEGER,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX tokens_by_id ON tokens (id);

CREATE TABLE topics (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE webhooks (
    tenant_id  TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    config     TEXT    NOT NULL,
    is_active  INTEGER NOT NULL,
    secrets    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

-- Messages, deliveries and attempts are clustered by their ids, which rise with time, so that what
-- happens now is written to the same few pages whoever's it is. An index by owner would undo that:
-- every row would touch a page of its own. So the owners of new rows are noted in order of arrival
-- (_recent) and moved to where lists are merged from (_by_webhook, _by_tenant) some thousand at a
-- time, sorted, by the writer; see store/sqlite/recent.rs and filters.rs.
CREATE TABLE messages (
    id              TEXT    PRIMARY KEY,
    tenant_id       TEXT    NOT NULL,
    position        INTEGER NOT NULL,
    topic           TEXT    NOT NULL,
    timestamp       INTEGER NOT NULL,
    accepted_at     INTEGER NOT NULL,
    ordering_key    TEXT,
    body_bytes      INTEGER NOT NULL,
    body_sha256     TEXT    NOT NULL,
    idempotency_key TEXT,
    content_sha256  TEXT,
    deliveries      INTEGER NOT NULL,
    not_delivered   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE messages_recent (
    id        TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE messages_by_tenant (
    tenant_id TEXT NOT NULL,
    id        TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX messages_by_idempotency_key ON messages (tenant_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE TABLE deliveries (
    id                   TEXT    PRIMARY KEY,
    tenant_id            TEXT    NOT NULL,
    message_id           TEXT    NOT NULL,
    webhook_id           TEXT    NOT NULL,
    topic                TEXT    NOT NULL,
    trigger              TEXT    NOT NULL,
    status               TEXT    NOT NULL,
    attempts             INTEGER NOT NULL,
    created_at           INTEGER NOT NULL,
    next_attempt_at      INTEGER,
    completed_at         INTEGER,
    last_response_status INTEGER,
    last_error_code      TEXT,
    last_error_message   TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries_recent (
    id         TEXT PRIMARY KEY,
    webhook_id TEXT NOT NULL,
    topic      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries_by_webhook (
    webhook_id TEXT NOT NULL,
    topic      TEXT NOT NULL,
    id         TEXT NOT NULL,
    PRIMARY KEY (webhook_id, topic, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_by_message ON deliveries (message_id, id);
-- Few deliveries stand otherwise than succeeded; these are the ones that people look for.
CREATE INDEX deliveries_not_succeeded ON deliveries (webhook_id, topic, status, id)
    WHERE status <> 'succeeded';
-- What is still to be sent, as the lanes read it.
CREATE INDEX deliveries_due ON deliveries (tenant_id, webhook_id, next_attempt_at, id)
    WHERE status = 'pending';
CREATE INDEX deliveries_due_tests ON deliveries (tenant_id, webhook_id)
    WHERE status = 'pending' AND trigger = 'test';

CREATE TABLE attempts (
    id               TEXT    PRIMARY KEY,
    tenant_id        TEXT    NOT NULL,
    position         INTEGER NOT NULL,
    delivery_id      TEXT    NOT NULL,
    message_id       TEXT    NOT NULL,
    webhook_id       TEXT    NOT NULL,
    webhook_version  INTEGER NOT NULL,
    topic            TEXT    NOT NULL,
    number           INTEGER NOT NULL,
    trigger          TEXT    NOT NULL,
    started_at       INTEGER NOT NULL,
    duration_ms      INTEGER NOT NULL,
    url              TEXT    NOT NULL,
    response_status  INTEGER,
    response_headers TEXT,
    body_truncated   INTEGER NOT NULL,
    error_code       TEXT,
    error_message    TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE attempts_recent (
    id         TEXT PRIMARY KEY,
    webhook_id TEXT NOT NULL,
    topic      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE attempts_by_webhook (
    webhook_id TEXT NOT NULL,
    topic      TEXT NOT NULL,
    id         TEXT NOT NULL,
    PRIMARY KEY (webhook_id, topic, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_by_delivery ON attempts (delivery_id, id);
-- Most attempts succeed with 200; the others are the ones that people look for.
CREATE INDEX attempts_failed ON attempts (webhook_id, topic, id) WHERE error_code IS NOT NULL;
CREATE INDEX attempts_not_200 ON attempts (webhook_id, topic, response_status, id)
    WHERE response_status <> 200;
