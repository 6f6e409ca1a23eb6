DELETE FROM bodies WHERE tenant_id = $1 AND id = $2
