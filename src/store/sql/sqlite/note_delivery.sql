INSERT INTO deliveries_recent (id, webhook_id, topic) VALUES (?1, ?2, ?3)
