DELETE FROM bodies
 WHERE position = (SELECT position FROM attempts WHERE id = ?2 AND tenant_id = ?1)
