INSERT INTO heads (tenant_id, position, events, hash)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (tenant_id)
DO UPDATE SET position = excluded.position, events = excluded.events, hash = excluded.hash
