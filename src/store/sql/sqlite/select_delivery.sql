SELECT * FROM deliveries WHERE id = ?2 AND tenant_id = ?1
