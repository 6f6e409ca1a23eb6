SELECT * FROM deliveries WHERE tenant_id = $1 AND id = $2
