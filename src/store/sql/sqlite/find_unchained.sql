SELECT position, coalesce(tenant_id, '') AS tenant_id, aggregate_type, aggregate_id, sequence, event_type,
       event_version, recorded_at * 1000 AS recorded_at, payload, metadata
  FROM events
 WHERE position > ?1
 ORDER BY position
 LIMIT ?2
