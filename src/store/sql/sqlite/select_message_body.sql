SELECT b.text
  FROM messages m JOIN bodies b ON b.position = m.position
 WHERE m.tenant_id = ?1 AND m.id = ?2
