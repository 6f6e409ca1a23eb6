-- How often what decides about a tenant's publishing has changed: its webhooks and its suspension.
-- A message is accepted only by somebody who knows the present generation.
ALTER TABLE tenants ADD COLUMN generation bigint NOT NULL DEFAULT 0;
UPDATE tenants t
   SET generation = (SELECT count(*)
                       FROM events e
                      WHERE e.tenant_id = t.id
                        AND (e.aggregate_type = 'webhook'
                             OR e.aggregate_type = 'tenant' AND e.event_type IN ('suspended', 'resumed')));
