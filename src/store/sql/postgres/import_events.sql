-- Events of another ledger, where they stood there. What is appended next comes after them.
WITH imported AS (
    INSERT INTO events (position, aggregate_type, aggregate_id, sequence, event_type, event_version,
                        payload, metadata, tenant_id, recorded_at)
    SELECT x.position, x.aggregate_type, x.aggregate_id, x.sequence, x.event_type, x.event_version,
           x.payload::json, x.metadata::json, x.tenant_id, x.recorded_at
      FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
                  $7::text[], $8::text[], $9::text[], $10::timestamptz[])
               AS x (position, aggregate_type, aggregate_id, sequence, event_type, event_version,
                     payload, metadata, tenant_id, recorded_at)
     ORDER BY x.position
    RETURNING position
)
SELECT setval(pg_get_serial_sequence('events', 'position'), max(position)) FROM imported
