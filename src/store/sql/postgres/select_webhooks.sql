SELECT * FROM webhooks WHERE tenant_id = $1 AND NOT is_deleted ORDER BY id DESC
