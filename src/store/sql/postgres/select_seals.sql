-- What is no time is one that no seal was made at.
SELECT number, position, events, head, greatest(least(sealed_at, '9999-12-31'), '1900-01-01') AS sealed_at,
       hash, signature
  FROM seals
 ORDER BY number
