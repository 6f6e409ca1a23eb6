DELETE FROM bodies
 WHERE position = (SELECT position FROM messages WHERE id = ?2 AND tenant_id = ?1)
