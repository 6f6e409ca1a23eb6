-- What is not sorted in yet, and the first position of it: all that is sorted in lies before that.
SELECT min(x.position) AS before,
       json_group_array(x.started_at) AS started_at,
       json_group_array(x.duration_ms) AS duration_ms,
       json_group_array(x.error_code IS NOT NULL) AS has_failed
  FROM attempts_recent r
       CROSS JOIN attempts x ON x.id = r.id
 WHERE r.webhook_id = ?2 AND r.id >= ?3 AND r.id < ?4 AND x.tenant_id = ?1
