SELECT b.text
  FROM messages m JOIN bodies b ON b.position = m.position
 WHERE m.id = ?2 AND m.tenant_id = ?1
