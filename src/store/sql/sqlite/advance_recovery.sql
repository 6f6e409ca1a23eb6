UPDATE recoveries SET requested = requested + ?3 WHERE tenant_id = ?1 AND id = ?2
