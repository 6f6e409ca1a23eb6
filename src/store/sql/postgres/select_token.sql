SELECT k.*, t.name AS tenant_name, t.stripe_customer_id, t.is_suspended, t.generation
  FROM tokens k JOIN tenants t ON t.id = k.tenant_id
 WHERE k.id = $1
