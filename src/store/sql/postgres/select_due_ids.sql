SELECT id
  FROM deliveries
 WHERE tenant_id = $1 AND webhook_id = $2 AND next_attempt_at IS NOT NULL
 ORDER BY next_attempt_at, id
 LIMIT $3
