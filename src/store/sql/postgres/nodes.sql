SELECT n.*,
       (extract(epoch FROM n.lease_expires_at - clock_timestamp()) * 1000)::bigint AS lease_ms,
       ARRAY(SELECT p.id FROM partitions p WHERE p.node_id = n.id ORDER BY p.id) AS partitions,
       ARRAY(SELECT p.epoch FROM partitions p WHERE p.node_id = n.id ORDER BY p.id) AS epochs
  FROM nodes n
 ORDER BY n.started_at DESC, n.id
