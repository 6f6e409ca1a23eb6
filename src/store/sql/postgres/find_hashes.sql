-- The hash of the event before each of these in its stream, if there is one.
SELECT (SELECT p.hash
          FROM events p
         WHERE p.aggregate_id = x.aggregate_id AND p.aggregate_type = x.aggregate_type
           AND p.sequence = x.sequence - 1 AND p.tenant_id = x.tenant_id) AS hash
  FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
           WITH ORDINALITY AS x (tenant_id, aggregate_type, aggregate_id, sequence, place)
 ORDER BY x.place
