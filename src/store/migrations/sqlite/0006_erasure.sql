-- How large the body of an answer was: it tells an erased one from an empty one.
ALTER TABLE attempts ADD COLUMN response_body_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE attempts
   SET response_body_bytes = octet_length(b.text)
  FROM bodies b
 WHERE b.position = attempts.position;
