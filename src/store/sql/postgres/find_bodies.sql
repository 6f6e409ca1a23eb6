-- The bodies after one from before a moment, tenant after tenant: ids rise with time, so those that
-- are too young are not looked at.
WITH RECURSIVE owners AS (
    (SELECT tenant_id FROM bodies WHERE tenant_id >= $1 ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT n.tenant_id
      FROM owners o
           CROSS JOIN LATERAL (SELECT b.tenant_id
                                 FROM bodies b
                                WHERE b.tenant_id > o.tenant_id
                                ORDER BY b.tenant_id
                                LIMIT 1) n
)
SELECT f.*
  FROM owners o
       CROSS JOIN LATERAL (SELECT b.tenant_id, b.id, octet_length(b.text)::bigint AS bytes,
                                  EXISTS (SELECT
                                            FROM deliveries d
                                           WHERE d.message_id = b.id AND d.tenant_id = b.tenant_id
                                             AND d.next_attempt_at IS NOT NULL) AS is_needed
                             FROM bodies b
                            WHERE b.tenant_id = o.tenant_id AND (b.tenant_id, b.id) > ($1, $2)
                              AND b.id < $3
                            ORDER BY b.id
                            LIMIT $4) f
 LIMIT $4
