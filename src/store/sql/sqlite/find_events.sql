SELECT position, tenant_id, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
       payload
  FROM events
 WHERE position > ?1 AND position <= ?2
 ORDER BY position
 LIMIT ?3
