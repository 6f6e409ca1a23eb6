SELECT id AS tenant_id, name AS tenant_name, stripe_customer_id, is_suspended, generation FROM tenants WHERE id = ?1
