UPDATE webhooks
   SET is_active = ?3, disabled_reason = ?4, version = ?5, updated_at = ?6
 WHERE tenant_id = ?1 AND id = ?2
