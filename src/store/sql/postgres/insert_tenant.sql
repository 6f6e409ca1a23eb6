INSERT INTO tenants (id, name, stripe_customer_id, is_suspended) VALUES ($1, $2, $3, $4)
