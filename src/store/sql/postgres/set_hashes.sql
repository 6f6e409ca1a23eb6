UPDATE events e
   SET hash = x.hash
  FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS x (tenant_id, position, hash)
 WHERE e.tenant_id = x.tenant_id AND e.position = x.position
