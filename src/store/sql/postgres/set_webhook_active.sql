UPDATE webhooks
   SET is_active = $1, disabled_reason = $2, version = $5, updated_at = $6
 WHERE tenant_id = $3 AND id = $4
