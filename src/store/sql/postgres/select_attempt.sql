SELECT a.*, b.text AS response_body
  FROM attempts a LEFT JOIN bodies b ON b.tenant_id = a.tenant_id AND b.id = a.id
 WHERE a.tenant_id = $1 AND a.id = $2
