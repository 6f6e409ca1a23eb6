INSERT INTO messages (tenant_id, id, position, topic, timestamp, accepted_at, ordering_key,
                      body_bytes, body_sha256, idempotency_key, content_sha256, deliveries,
                      not_delivered)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
