UPDATE deliveries
   SET status = ?3, next_attempt_at = ?4, completed_at = ?5, attempts = ?6,
       last_response_status = ?7, last_error_code = ?8, last_error_message = ?9
 WHERE id = ?2 AND tenant_id = ?1
