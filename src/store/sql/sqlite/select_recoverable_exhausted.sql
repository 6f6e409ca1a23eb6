-- The same, of those only whose attempts are spent.
WITH RECURSIVE topics (topic) AS (
    SELECT min(topic) FROM deliveries INDEXED BY deliveries_not_succeeded
     WHERE webhook_id = ?2 AND status <> 'succeeded'
    UNION ALL
    SELECT (SELECT min(b.topic)
              FROM deliveries b INDEXED BY deliveries_not_succeeded
             WHERE b.webhook_id = ?2 AND b.status <> 'succeeded' AND b.topic > topics.topic)
      FROM topics
     WHERE topics.topic IS NOT NULL
)
SELECT d.id
  FROM topics t
       CROSS JOIN deliveries d INDEXED BY deliveries_not_succeeded
 WHERE d.webhook_id = ?2 AND d.topic = t.topic AND d.status <> 'succeeded' AND d.status = 'exhausted'
   AND d.id >= ?3 AND d.id < ?4 AND d.tenant_id = ?1 AND d.trigger <> 'test'
 ORDER BY d.id
 LIMIT ?5
