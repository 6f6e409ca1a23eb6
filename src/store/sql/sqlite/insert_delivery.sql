INSERT INTO deliveries (tenant_id, id, message_id, webhook_id, topic, trigger, queue, status, attempts,
                        created_at, next_attempt_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
