-- Why Hookledger itself disabled a webhook, and since when all its attempts have failed. A webhook that
-- fails already counts from its next failure on.
ALTER TABLE webhooks ADD COLUMN disabled_reason text;
ALTER TABLE webhooks ADD COLUMN failing_since timestamptz;

-- What a delivery is kept in order by. Those until now know no ordering key; a test has no place in any
-- order.
ALTER TABLE deliveries ADD COLUMN queue text COLLATE "C";
UPDATE deliveries SET queue = '' WHERE trigger <> 'test';

-- What is still to be sent is more than what is pending: what has ended may be asked for again.
DROP INDEX deliveries_due;
DROP INDEX deliveries_due_tests;
CREATE INDEX deliveries_due ON deliveries (tenant_id, webhook_id, next_attempt_at, id)
    WHERE next_attempt_at IS NOT NULL;
CREATE INDEX deliveries_due_tests ON deliveries (tenant_id, webhook_id)
    WHERE next_attempt_at IS NOT NULL AND trigger = 'test';
-- The same in the order in which it was accepted, a queue for each ordering key.
CREATE INDEX deliveries_queued ON deliveries (tenant_id, webhook_id, queue, id)
    WHERE next_attempt_at IS NOT NULL AND queue IS NOT NULL;

CREATE TABLE recoveries (
    tenant_id    text        COLLATE "C" NOT NULL,
    id           uuid        NOT NULL,
    webhook_id   uuid        NOT NULL,
    from_at      timestamptz NOT NULL,
    to_at        timestamptz NOT NULL,
    selection    text        NOT NULL,
    state        text        NOT NULL,
    matched      bigint      NOT NULL,
    requested    bigint      NOT NULL,
    completed_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX recoveries_by_webhook ON recoveries (tenant_id, webhook_id, id);
CREATE INDEX recoveries_running ON recoveries (tenant_id, id) WHERE state = 'running';
