SELECT CAST(tenant_id AS BLOB) AS tenant_id, position, events, hash FROM heads
