SELECT tenant_id, id, secrets
  FROM webhooks
 WHERE (tenant_id, id) > ($1, $2) AND NOT is_deleted
 ORDER BY tenant_id, id
 LIMIT $3
