UPDATE webhooks SET failing_since = ?3 WHERE tenant_id = ?1 AND id = ?2 AND failing_since IS NULL
