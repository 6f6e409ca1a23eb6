INSERT INTO attempts_recent (id, webhook_id, topic) VALUES (?1, ?2, ?3)
