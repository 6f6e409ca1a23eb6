-- The events of a stretch of positions with all that their hashes cover. A body has the id of the message that
-- was accepted, or of the attempt that the event tells of; what somebody put in the place of an id is none.
SELECT e.position, e.tenant_id, e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, e.event_version,
       CASE WHEN e.recorded_at BETWEEN '1900-01-01' AND '9999-12-31'
            THEN (extract(epoch FROM e.recorded_at) * 1000000)::bigint
            ELSE 0 END AS recorded_at,
       e.payload::text AS payload, e.metadata::text AS metadata, e.hash,
       CASE WHEN e.sequence > 1
            THEN (SELECT p.hash
                    FROM events p
                   WHERE p.aggregate_id = e.aggregate_id AND p.aggregate_type = e.aggregate_type
                     AND p.sequence = e.sequence - 1 AND p.tenant_id = e.tenant_id)
       END AS before,
       (SELECT encode(sha256(convert_to(b.text, 'UTF8')), 'hex')
          FROM bodies b
         WHERE b.tenant_id = e.tenant_id AND b.id = x.body_id::uuid) AS body_sha256
  FROM events e
       CROSS JOIN LATERAL (
           SELECT CASE WHEN y.id ~ '^[0-9a-f]{32}$' THEN y.id END AS body_id
             FROM (SELECT CASE
                       WHEN e.aggregate_type = 'message' AND e.event_type = 'accepted'
                       THEN substr(e.aggregate_id, 5)
                       WHEN e.aggregate_type = 'delivery'
                       THEN substring(e.payload::text FROM '"attempt":{"id":"att_([0-9a-f]{32})"')
                   END AS id) y) x
 WHERE e.position > $1 AND e.position <= $2
 ORDER BY e.position
