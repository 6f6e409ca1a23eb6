-- How large the body of an answer was: it tells an erased one from an empty one.
ALTER TABLE attempts ADD COLUMN response_body_bytes bigint NOT NULL DEFAULT 0;
UPDATE attempts a
   SET response_body_bytes = octet_length(b.text)
  FROM bodies b
 WHERE b.tenant_id = a.tenant_id AND b.id = a.id;

-- What is erased lies there until a vacuum: not until a fifth of a large table is erased. Long texts
-- lie in a table of their own.
ALTER TABLE bodies SET (autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02);
