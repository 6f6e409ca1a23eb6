INSERT INTO attempts (tenant_id, id, position, delivery_id, message_id, webhook_id,
                      webhook_version, topic, number, trigger, started_at, duration_ms, url,
                      response_status, response_headers, response_body_bytes, body_truncated,
                      error_code, error_message)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
