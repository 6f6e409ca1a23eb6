INSERT INTO recoveries (tenant_id, id, webhook_id, from_at, to_at, selection, state, matched, requested)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
