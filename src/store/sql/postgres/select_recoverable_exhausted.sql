-- The same, of those only whose attempts are spent.
SELECT id
  FROM deliveries
 WHERE tenant_id = $1 AND webhook_id = $2 AND id >= $3 AND id < $4 AND trigger <> 'test'
   AND status <> 'succeeded' AND status = 'exhausted'
 ORDER BY id
 LIMIT $5
