-- The events of a stretch of positions with their bodies, as many as fit: positions rise with the
-- place on disk, so a stretch is few blocks.
-- A body has the id of the message that was accepted, or of the attempt that the event tells of.
SELECT x.*
  FROM (SELECT e.position, e.aggregate_type, e.aggregate_id, e.sequence, e.event_type,
               e.event_version, e.payload::text AS payload, e.metadata::text AS metadata,
               e.tenant_id, e.recorded_at, e.hash, b.text AS body,
               coalesce(sum(octet_length(b.text))
                            OVER (ORDER BY e.position
                                  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
                        0) AS bytes_before
          FROM events e
               LEFT JOIN bodies b
               ON b.tenant_id = e.tenant_id
                  AND b.id = CASE
                      WHEN e.aggregate_type = 'message' AND e.event_type = 'accepted'
                      THEN substr(e.aggregate_id, 5)::uuid
                      WHEN e.aggregate_type = 'delivery'
                      THEN substr(e.payload -> e.event_type -> 'attempt' ->> 'id', 5)::uuid
                  END
         WHERE e.position > $1 AND e.position <= $1 + $2) x
 WHERE x.bytes_before < $3
 ORDER BY x.position
