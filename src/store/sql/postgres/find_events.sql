-- The events of a stretch of positions without what no view shows.
SELECT position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload::text AS payload,
       '' AS metadata, tenant_id, recorded_at, hash, NULL::text AS body
  FROM events
 WHERE position > $1 AND position <= $2
 ORDER BY position
