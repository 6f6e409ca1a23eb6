INSERT INTO seals (number, position, events, head, sealed_at, hash, signature)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
