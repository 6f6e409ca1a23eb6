SELECT message_id, id, webhook_id, status
  FROM deliveries
 WHERE tenant_id = $1 AND message_id = ANY ($2)
 ORDER BY id
