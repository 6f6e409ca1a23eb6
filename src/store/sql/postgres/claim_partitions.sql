-- Rows of nodes whose lease is over are locked, so that none of them comes back to life meanwhile
-- and goes on with a partition that it has just lost.
WITH dead AS MATERIALIZED (
    SELECT id
      FROM nodes
     WHERE lease_expires_at < clock_timestamp()
       FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM nodes n
     USING dead
     WHERE n.id = dead.id AND n.lease_expires_at < clock_timestamp() - interval '1 hour'
       AND NOT EXISTS (SELECT FROM partitions p WHERE p.node_id = n.id)
), free AS MATERIALIZED (
    SELECT p.id
      FROM partitions p
     WHERE p.node_id IS NULL OR p.node_id IN (SELECT id FROM dead)
        OR NOT EXISTS (SELECT FROM nodes n WHERE n.id = p.node_id)
     ORDER BY p.id
     LIMIT $2
       FOR UPDATE OF p SKIP LOCKED
)
UPDATE partitions p
   SET node_id = $1, epoch = p.epoch + 1
  FROM free
 WHERE p.id = free.id
RETURNING p.id, p.epoch
