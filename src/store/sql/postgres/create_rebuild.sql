-- The tables of the views once more, empty, and without a log: nothing in them needs to survive.
DROP SCHEMA IF EXISTS hookledger_rebuild CASCADE;
CREATE SCHEMA hookledger_rebuild;
CREATE UNLOGGED TABLE hookledger_rebuild.bodies (LIKE bodies INCLUDING ALL);
CREATE UNLOGGED TABLE hookledger_rebuild.tenants (LIKE tenants INCLUDING ALL);
CREATE UNLOGGED TABLE hookledger_rebuild.tokens (LIKE tokens INCLUDING ALL);
CREATE UNLOGGED TABLE hookledger_rebuild.topics (LIKE topics INCLUDING ALL);
CREATE UNLOGGED TABLE hookledger_rebuild.webhooks (LIKE webhooks INCLUDING ALL);
CREATE UNLOGGED TABLE hookledger_rebuild.messages (LIKE messages INCLUDING ALL);
CREATE UNLOGGED TABLE hookledger_rebuild.deliveries (LIKE deliveries INCLUDING ALL);
CREATE UNLOGGED TABLE hookledger_rebuild.attempts (LIKE attempts INCLUDING ALL);
CREATE UNLOGGED TABLE hookledger_rebuild.recoveries (LIKE recoveries INCLUDING ALL);
CREATE UNLOGGED TABLE hookledger_rebuild.subscriptions (LIKE subscriptions INCLUDING ALL);
CREATE UNLOGGED TABLE hookledger_rebuild.invoices (LIKE invoices INCLUDING ALL);
CREATE UNLOGGED TABLE hookledger_rebuild.unassigned_callbacks (LIKE unassigned_callbacks INCLUDING ALL);
-- The keys of rows that differ.
CREATE UNLOGGED TABLE hookledger_rebuild.differing (
    name      text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    id        uuid,
    stripe_id text COLLATE "C"
);
