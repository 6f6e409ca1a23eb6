SELECT id
  FROM deliveries
 WHERE tenant_id = $1 AND webhook_id = $2 AND status = 'pending' AND trigger = 'test'
 LIMIT $3
