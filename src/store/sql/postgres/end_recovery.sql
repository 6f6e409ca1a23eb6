UPDATE recoveries SET state = $3, completed_at = $4 WHERE tenant_id = $1 AND id = $2
