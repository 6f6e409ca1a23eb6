-- ~ comes after every id.
SELECT id AS tenant_id, name AS tenant_name, stripe_customer_id, is_suspended, generation
  FROM tenants
 WHERE id < coalesce($1, '~')
 ORDER BY id DESC
 LIMIT $2
