SELECT id, webhook_id, status
  FROM deliveries
 WHERE tenant_id = $1 AND message_id = $2
 ORDER BY id
