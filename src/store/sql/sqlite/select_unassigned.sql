-- From a place on, the newest first.
SELECT *
  FROM unassigned_callbacks
 WHERE (received_at, id) < (?1, ?2)
 ORDER BY received_at DESC, id DESC
 LIMIT ?3
