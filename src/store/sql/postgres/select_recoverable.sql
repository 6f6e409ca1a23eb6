-- The deliveries of a webhook in a stretch of time, tests aside.
SELECT id
  FROM deliveries
 WHERE tenant_id = $1 AND webhook_id = $2 AND id >= $3 AND id < $4 AND trigger <> 'test'
 ORDER BY id
 LIMIT $5
