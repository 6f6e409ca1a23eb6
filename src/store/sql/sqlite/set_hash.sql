UPDATE events SET hash = ?2 WHERE position = ?1
