SELECT * FROM tokens
 WHERE tenant_id = ?1 AND id < coalesce(?2, '~')
 ORDER BY id DESC
 LIMIT ?3
