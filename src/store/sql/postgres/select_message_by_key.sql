SELECT * FROM messages WHERE tenant_id = $1 AND idempotency_key = $2
