-- Who has a customer; it should be one.
SELECT id AS tenant_id FROM tenants WHERE stripe_customer_id = ?1 ORDER BY id LIMIT 2
