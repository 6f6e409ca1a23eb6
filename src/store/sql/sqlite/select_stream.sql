SELECT *, NULL AS body
  FROM events
 WHERE aggregate_type = ?2 AND aggregate_id = ?3 AND tenant_id = ?1 AND sequence > ?4
 ORDER BY sequence
 LIMIT ?5
