UPDATE deliveries
   SET status = coalesce(?3, status),
       completed_at = CASE WHEN ?3 IS NULL THEN completed_at ELSE ?4 END,
       next_attempt_at = ?5
 WHERE id = ?2 AND tenant_id = ?1
