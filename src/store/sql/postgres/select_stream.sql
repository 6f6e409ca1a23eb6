SELECT e.position, e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, e.event_version,
       e.payload::text AS payload, e.metadata::text AS metadata, e.tenant_id, e.recorded_at,
       e.hash, NULL::text AS body
  FROM events e
 WHERE e.aggregate_type = $2 AND e.aggregate_id = $3 AND e.tenant_id = $1 AND e.sequence > $4
 ORDER BY e.sequence
 LIMIT $5
