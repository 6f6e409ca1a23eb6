SELECT id, webhook_id, status
  FROM deliveries
 WHERE message_id = ?2 AND tenant_id = ?1
 ORDER BY id
