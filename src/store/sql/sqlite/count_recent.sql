SELECT (SELECT count(*) FROM messages_recent)
     + (SELECT count(*) FROM deliveries_recent)
     + (SELECT count(*) FROM attempts_recent)
