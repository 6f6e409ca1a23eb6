-- Which of these idempotency keys are taken already.
SELECT x.place
  FROM unnest($1::text[], $2::text[], $3::bigint[]) AS x (tenant_id, idempotency_key, place)
 WHERE EXISTS (SELECT
                 FROM messages m
                WHERE m.tenant_id = x.tenant_id AND m.idempotency_key = x.idempotency_key)
