SELECT * FROM messages WHERE id = ?2 AND tenant_id = ?1
