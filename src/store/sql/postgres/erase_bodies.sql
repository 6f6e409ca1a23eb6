-- Unless something is to be sent still. This sees what was asked for before the bodies were locked.
DELETE FROM bodies b
 USING unnest($1::text[], $2::uuid[]) AS x (tenant_id, id)
 WHERE b.tenant_id = x.tenant_id AND b.id = x.id
   AND NOT EXISTS (SELECT
                     FROM deliveries d
                    WHERE d.message_id = b.id AND d.tenant_id = b.tenant_id
                      AND d.next_attempt_at IS NOT NULL)
