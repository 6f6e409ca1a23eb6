SELECT a.*, b.text AS response_body
  FROM attempts a LEFT JOIN bodies b ON b.position = a.position
 WHERE a.id = ?2 AND a.tenant_id = ?1
