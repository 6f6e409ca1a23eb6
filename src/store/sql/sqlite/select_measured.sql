-- One row for the whole page, with its columns as lists: handing a row over costs more than finding it.
SELECT max(m.id) AS last,
       json_group_array(m.started_at) AS started_at,
       json_group_array(m.duration_ms) AS duration_ms,
       json_group_array(m.has_failed) AS has_failed
  FROM (SELECT x.id, x.started_at, x.duration_ms, x.error_code IS NOT NULL AS has_failed
          FROM attempts_by_webhook k
               CROSS JOIN attempts x ON x.id = k.id
         WHERE k.webhook_id = ?2 AND k.topic = ?3 AND k.id >= ?4 AND k.id < ?5
               AND x.tenant_id = ?1 AND x.position < ?6
         ORDER BY k.id
         LIMIT ?7) m
