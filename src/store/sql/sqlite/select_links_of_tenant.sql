-- The same of one tenant's events: first those that are sorted in, then those that came later.
SELECT e.position, CAST(e.tenant_id AS BLOB) AS tenant_id,
       CAST(e.aggregate_type AS BLOB) AS aggregate_type, CAST(e.aggregate_id AS BLOB) AS aggregate_id,
       e.sequence, CAST(e.event_type AS BLOB) AS event_type,
       CAST(e.event_version AS BLOB) AS event_version,
       CASE WHEN e.recorded_at BETWEEN -9000000000000000 AND 9000000000000000
            THEN e.recorded_at * 1000 ELSE 0 END AS recorded_at,
       CAST(e.payload AS BLOB) AS payload, CAST(e.metadata AS BLOB) AS metadata, e.hash,
       p.hash AS before, CAST(b.text AS BLOB) AS body
  FROM (SELECT position
          FROM (SELECT position FROM events_by_tenant WHERE tenant_id = ?1 AND position > ?2
                UNION ALL
                SELECT position
                  FROM events NOT INDEXED
                 WHERE tenant_id = ?1 AND position > ?2
                   AND position > (SELECT position FROM events_settled))
         ORDER BY position
         LIMIT ?3) c
       CROSS JOIN events e ON e.position = c.position
       LEFT JOIN events p
       ON e.sequence > 1 AND p.aggregate_type = e.aggregate_type
          AND p.aggregate_id = e.aggregate_id AND p.sequence = e.sequence - 1
       LEFT JOIN bodies b ON b.position = e.position
 WHERE e.tenant_id = ?1
 ORDER BY c.position
