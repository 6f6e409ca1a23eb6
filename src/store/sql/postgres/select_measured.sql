-- One row for the whole page, with its columns as lists: handing a row over costs more than finding it.
SELECT max(m.id::text)::uuid AS last,
       coalesce(array_agg(m.started_at), '{}') AS started_at,
       coalesce(array_agg(m.duration_ms), '{}') AS duration_ms,
       coalesce(array_agg(m.has_failed), '{}') AS has_failed
  FROM (SELECT x.id, x.started_at, x.duration_ms, x.error_code IS NOT NULL AS has_failed
          FROM attempts x
         WHERE x.webhook_id = $2 AND x.topic = $3 AND x.id >= $4 AND x.id < $5 AND x.tenant_id = $1
         ORDER BY x.id
         LIMIT $6) m
