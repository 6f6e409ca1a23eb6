SELECT id, text FROM bodies WHERE tenant_id = $1 AND id = ANY ($2)
