-- Of one tenant, or of all of them.
SELECT *
  FROM recoveries
 WHERE state = 'running' AND ($1::text IS NULL OR tenant_id = $1)
 ORDER BY tenant_id, id
