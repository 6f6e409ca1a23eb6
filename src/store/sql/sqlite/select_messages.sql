-- ~ comes after every id.
SELECT m.*
  FROM (SELECT id
          FROM (SELECT id
                  FROM messages_by_tenant
                 WHERE tenant_id = ?1 AND id < coalesce(?2, '~')
                 ORDER BY id DESC
                 LIMIT ?3)
        UNION ALL
        SELECT id
          FROM messages_recent
         WHERE tenant_id = ?1 AND id < coalesce(?2, '~')
         ORDER BY id DESC
         LIMIT ?3) i
       CROSS JOIN messages m ON m.id = i.id
 ORDER BY m.id DESC
