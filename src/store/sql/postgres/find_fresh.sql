-- What is still to be sent of some messages for the first time, with its bodies.
SELECT d.*, b.text
  FROM unnest($1::text[], $2::uuid[]) AS m (tenant_id, id)
       JOIN deliveries d ON d.tenant_id = m.tenant_id AND d.message_id = m.id
       LEFT JOIN bodies b ON b.tenant_id = m.tenant_id AND b.id = m.id
 WHERE d.status = 'pending' AND d.attempts = 0
 ORDER BY d.next_attempt_at, d.id
