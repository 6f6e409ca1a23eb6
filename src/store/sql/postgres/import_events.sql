-- Events of another ledger, where they stood there and chained as they were there. What is appended next
-- comes after them.
WITH imported AS (
    INSERT INTO events (position, aggregate_type, aggregate_id, sequence, event_type, event_version,
                        payload, metadata, tenant_id, recorded_at, hash)
    SELECT x.position, x.aggregate_type, x.aggregate_id, x.sequence, x.event_type, x.event_version,
           x.payload::json, x.metadata::json, x.tenant_id, x.recorded_at, x.hash
      FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
                  $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::bytea[])
               AS x (position, aggregate_type, aggregate_id, sequence, event_type, event_version,
                     payload, metadata, tenant_id, recorded_at, hash)
     ORDER BY x.position
    RETURNING tenant_id, position, hash
), moved AS (
    SELECT move_heads(array_agg(last.tenant_id), array_agg(last.position), array_agg(last.events),
                      array_agg(last.hash))
      FROM (SELECT DISTINCT ON (tenant_id)
                   tenant_id, position, hash, count(*) OVER (PARTITION BY tenant_id) AS events
              FROM imported
             ORDER BY tenant_id, position DESC) last
)
SELECT setval(pg_get_serial_sequence('events', 'position'), max(position)), (SELECT count(*) FROM moved)
  FROM imported
