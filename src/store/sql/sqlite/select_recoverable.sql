-- The deliveries of a webhook in a stretch of time, tests aside. The topics that occur are found by
-- jumping through the sorted table; the newest rows are not sorted in yet and are looked through.
WITH RECURSIVE topics (topic) AS (
    SELECT min(topic) FROM deliveries_by_webhook WHERE webhook_id = ?2
    UNION ALL
    SELECT (SELECT min(b.topic)
              FROM deliveries_by_webhook b
             WHERE b.webhook_id = ?2 AND b.topic > topics.topic)
      FROM topics
     WHERE topics.topic IS NOT NULL
), found (id) AS (
    SELECT b.id
      FROM topics t
           CROSS JOIN deliveries_by_webhook b
     WHERE b.webhook_id = ?2 AND b.topic = t.topic AND b.id >= ?3 AND b.id < ?4
    UNION ALL
    SELECT r.id FROM deliveries_recent r WHERE r.webhook_id = ?2 AND r.id >= ?3 AND r.id < ?4
)
SELECT d.id
  FROM found f
       CROSS JOIN deliveries d ON d.id = f.id
 WHERE d.tenant_id = ?1 AND d.trigger <> 'test'
 ORDER BY d.id
 LIMIT ?5
