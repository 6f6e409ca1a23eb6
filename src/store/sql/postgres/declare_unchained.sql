-- All events in their order.
DECLARE unchained NO SCROLL CURSOR FOR
SELECT position, tenant_id, aggregate_type, aggregate_id, sequence, event_type, event_version,
       (extract(epoch FROM recorded_at) * 1000000)::bigint AS recorded_at,
       payload::text AS payload, metadata::text AS metadata
  FROM events
 ORDER BY position
