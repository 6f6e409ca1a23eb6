SELECT id
  FROM deliveries
 WHERE tenant_id = $1 AND webhook_id = $2 AND status = 'pending'
 ORDER BY next_attempt_at, id
 LIMIT $3
