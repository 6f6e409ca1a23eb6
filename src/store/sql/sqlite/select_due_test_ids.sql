SELECT id
  FROM deliveries INDEXED BY deliveries_due_tests
 WHERE tenant_id = ?1 AND webhook_id = ?2 AND next_attempt_at IS NOT NULL AND trigger = 'test'
 LIMIT ?3
