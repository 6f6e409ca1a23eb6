-- The last position of each tenant, found by jumping from tenant to tenant, and the last of them all:
-- positions alone have an index of ranges only, which does not know the last one.
WITH RECURSIVE lasts AS (
    (SELECT tenant_id, position FROM events ORDER BY tenant_id DESC, position DESC LIMIT 1)
    UNION ALL
    SELECT n.tenant_id, n.position
      FROM lasts l
           CROSS JOIN LATERAL (SELECT e.tenant_id, e.position
                                 FROM events e
                                WHERE e.tenant_id < l.tenant_id
                                ORDER BY e.tenant_id DESC, e.position DESC
                                LIMIT 1) n
)
SELECT coalesce(max(position), 0) AS position FROM lasts
