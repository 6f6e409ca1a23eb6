WITH released AS (
    UPDATE partitions SET node_id = NULL WHERE node_id = $1 AND id = ANY ($2) RETURNING id
)
SELECT pg_notify('hookledger', $3) FROM released LIMIT 1
