SELECT position, events, hash FROM heads WHERE tenant_id = $1
