-- A loose index scan: from each topic to the next one.
WITH RECURSIVE tried (webhook_id, topic) AS (
    SELECT w.id,
           (SELECT k.topic FROM attempts_by_webhook k WHERE k.webhook_id = w.id ORDER BY k.topic LIMIT 1)
      FROM webhooks w
     WHERE w.tenant_id = ?1 AND w.id = ?2
    UNION ALL
    SELECT t.webhook_id,
           (SELECT k.topic
              FROM attempts_by_webhook k
             WHERE k.webhook_id = t.webhook_id AND k.topic > t.topic
             ORDER BY k.topic
             LIMIT 1)
      FROM tried t
     WHERE t.topic IS NOT NULL
)
SELECT topic FROM tried WHERE topic IS NOT NULL
