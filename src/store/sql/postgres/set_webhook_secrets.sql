UPDATE webhooks SET secrets = $1, version = $4, updated_at = $5 WHERE tenant_id = $2 AND id = $3
