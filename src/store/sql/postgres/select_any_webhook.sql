SELECT * FROM webhooks WHERE NOT is_deleted LIMIT 1
