SELECT * FROM seals ORDER BY number
