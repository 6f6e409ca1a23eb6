UPDATE deliveries
   SET status = coalesce(?3, status),
       completed_at = CASE WHEN ?3 IS NULL THEN completed_at ELSE ?4 END,
       next_attempt_at = ?5, attempts = ?6,
       last_response_status = ?7, last_error_code = ?8, last_error_message = ?9
 WHERE id = ?2 AND tenant_id = ?1
