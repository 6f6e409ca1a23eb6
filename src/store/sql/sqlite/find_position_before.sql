-- Up to where in the ledger there may be bodies from before a moment, or a little before that place.
SELECT coalesce(max(position), 0) AS position
  FROM (SELECT position FROM (SELECT position FROM messages WHERE id < ?1 ORDER BY id DESC LIMIT 1)
        UNION ALL
        SELECT position FROM (SELECT position FROM attempts WHERE id < ?2 ORDER BY id DESC LIMIT 1))
