-- ~ comes after every id.
SELECT * FROM messages
 WHERE tenant_id = ?1 AND id < coalesce(?2, '~')
 ORDER BY id DESC
 LIMIT ?3
