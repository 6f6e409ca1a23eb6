INSERT INTO bodies (position, tenant_id, text) VALUES (?1, ?2, ?3)
