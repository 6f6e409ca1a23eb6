-- Events with all that their hashes cover, as bytes: what somebody put there may be no text.
SELECT e.position, CASE e.tenant_id WHEN '' THEN x'00' ELSE CAST(coalesce(e.tenant_id, '') AS BLOB) END AS tenant_id,
       CAST(e.aggregate_type AS BLOB) AS aggregate_type, CAST(e.aggregate_id AS BLOB) AS aggregate_id,
       e.sequence, CAST(e.event_type AS BLOB) AS event_type,
       CAST(e.event_version AS BLOB) AS event_version,
       CASE WHEN e.recorded_at BETWEEN -9000000000000000 AND 9000000000000000
            THEN e.recorded_at * 1000 ELSE 0 END AS recorded_at,
       CAST(e.payload AS BLOB) AS payload, CAST(e.metadata AS BLOB) AS metadata, e.hash,
       p.hash AS before, CAST(b.text AS BLOB) AS body
  FROM events e
       LEFT JOIN events p
       ON e.sequence > 1 AND p.aggregate_type = e.aggregate_type
          AND p.aggregate_id = e.aggregate_id AND p.sequence = e.sequence - 1
       LEFT JOIN bodies b ON b.position = e.position
 WHERE e.position > ?1
 ORDER BY e.position
 LIMIT ?2
