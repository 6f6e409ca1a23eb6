-- Whether something of a message is to be sent still.
SELECT EXISTS (SELECT 1
                 FROM deliveries INDEXED BY deliveries_by_message
                WHERE message_id = ?2 AND tenant_id = ?1 AND next_attempt_at IS NOT NULL)
