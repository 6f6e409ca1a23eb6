UPDATE webhooks SET failing_since = NULL
 WHERE tenant_id = ?1 AND id = ?2 AND failing_since IS NOT NULL
