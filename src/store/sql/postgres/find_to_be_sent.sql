-- Of which of these messages something is to be sent still.
SELECT x.place
  FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS x (tenant_id, message_id, place)
 WHERE EXISTS (SELECT
                 FROM deliveries d
                WHERE d.message_id = x.message_id AND d.tenant_id = x.tenant_id
                  AND d.next_attempt_at IS NOT NULL)
