UPDATE deliveries
   SET status = ?3, next_attempt_at = ?4, completed_at = ?5
 WHERE id = ?2 AND tenant_id = ?1
