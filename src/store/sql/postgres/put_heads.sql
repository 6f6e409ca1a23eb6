INSERT INTO heads (tenant_id, position, events, hash)
SELECT x.* FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[]) AS x
