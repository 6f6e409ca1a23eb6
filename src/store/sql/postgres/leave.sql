WITH released AS (
    UPDATE partitions SET node_id = NULL WHERE node_id = $1
), gone AS (
    DELETE FROM nodes WHERE id = $1
)
SELECT pg_notify('hookledger', $2)
