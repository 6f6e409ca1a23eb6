UPDATE deliveries
   SET status = ?3, next_attempt_at = ?4, completed_at = ?5
 WHERE tenant_id = ?1 AND id = ?2
