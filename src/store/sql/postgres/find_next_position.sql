-- The first position after a given one: that of each tenant, found by jumping from tenant to tenant,
-- and the first of them all.
WITH RECURSIVE owners AS (
    (SELECT tenant_id FROM events ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT n.tenant_id
      FROM owners o
           CROSS JOIN LATERAL (SELECT e.tenant_id
                                 FROM events e
                                WHERE e.tenant_id > o.tenant_id
                                ORDER BY e.tenant_id
                                LIMIT 1) n
)
SELECT min(f.position) AS position
  FROM owners o
       CROSS JOIN LATERAL (SELECT e.position
                             FROM events e
                            WHERE e.tenant_id = o.tenant_id AND e.position > $1
                            ORDER BY e.position
                            LIMIT 1) f
