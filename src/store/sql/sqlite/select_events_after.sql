SELECT e.*, b.text AS body
  FROM events e LEFT JOIN bodies b ON b.position = e.position
 WHERE e.position > ?1
 ORDER BY e.position
 LIMIT ?2
