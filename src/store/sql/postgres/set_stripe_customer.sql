UPDATE tenants SET stripe_customer_id = $2 WHERE id = $1
