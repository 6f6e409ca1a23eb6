INSERT INTO messages_recent (id, tenant_id) VALUES (?1, ?2)
