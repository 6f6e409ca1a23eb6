-- Keeps the bodies of what these deliveries send from being erased meanwhile, and tells of which they
-- are erased already.
WITH held AS MATERIALIZED (
    SELECT x.tenant_id, x.delivery_id
      FROM unnest($1::text[], $2::uuid[]) AS x (tenant_id, delivery_id)
           JOIN deliveries d ON d.tenant_id = x.tenant_id AND d.id = x.delivery_id
           JOIN bodies b ON b.tenant_id = d.tenant_id AND b.id = d.message_id
       FOR KEY SHARE OF b
)
SELECT x.place
  FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS x (tenant_id, delivery_id, place)
 WHERE NOT EXISTS (SELECT
                     FROM held h
                    WHERE h.tenant_id = x.tenant_id AND h.delivery_id = x.delivery_id)
