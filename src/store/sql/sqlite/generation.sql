SELECT generation FROM tenants WHERE id = ?1
