-- A whole batch of commits, in one round trip and one transaction. First what the events change in
-- the views, then the lock, then the events: so positions are given out under the lock, become
-- visible in their order, and the lock is held for as little as may be.
-- Nothing is written at all if a tenant is not of the generation that a commit expects.
WITH stale AS MATERIALIZED (
    SELECT x.tenant_id, x.generation
      FROM unnest($2::text[], $3::bigint[]) AS x (tenant_id, generation)
           LEFT JOIN tenants t ON t.id = x.tenant_id
     WHERE t.generation IS DISTINCT FROM x.generation
), go AS MATERIALIZED (
    SELECT WHERE NOT EXISTS (SELECT FROM stale)
), new_bodies AS (
    INSERT INTO bodies (tenant_id, id, text)
    SELECT x.*
      FROM go, unnest($4::text[], $5::uuid[], $6::text[]) AS x
    RETURNING 1
), new_messages AS (
    INSERT INTO messages (tenant_id, id, topic, timestamp, accepted_at, ordering_key, body_bytes,
                          body_sha256, idempotency_key, content_sha256, deliveries, not_delivered)
    SELECT x.tenant_id, x.id, x.topic, x.timestamp, x.accepted_at, x.ordering_key, x.body_bytes,
           x.body_sha256, x.idempotency_key, x.content_sha256, x.deliveries, x.not_delivered::json
      FROM go, unnest($7::text[], $8::uuid[], $9::text[], $10::timestamptz[], $11::timestamptz[],
                      $12::text[], $13::bigint[], $14::text[], $15::text[], $16::text[],
                      $17::bigint[], $18::text[])
               AS x (tenant_id, id, topic, timestamp, accepted_at, ordering_key, body_bytes,
                     body_sha256, idempotency_key, content_sha256, deliveries, not_delivered)
    RETURNING 1
), new_deliveries AS (
    INSERT INTO deliveries (tenant_id, id, message_id, webhook_id, topic, trigger, status, attempts,
                            created_at, next_attempt_at, completed_at, last_response_status,
                            last_error_code, last_error_message)
    SELECT x.*
      FROM go, unnest($19::text[], $20::uuid[], $21::uuid[], $22::uuid[], $23::text[], $24::text[],
                      $25::text[], $26::bigint[], $27::timestamptz[], $28::timestamptz[],
                      $29::timestamptz[], $30::integer[], $31::text[], $32::text[]) AS x
    RETURNING 1
), changed_deliveries AS (
    UPDATE deliveries d
       SET status = x.status,
           next_attempt_at = x.next_attempt_at,
           completed_at = x.completed_at,
           attempts = coalesce(x.attempts, d.attempts),
           last_response_status =
               CASE WHEN x.attempts IS NULL THEN d.last_response_status ELSE x.response_status END,
           last_error_code =
               CASE WHEN x.attempts IS NULL THEN d.last_error_code ELSE x.error_code END,
           last_error_message =
               CASE WHEN x.attempts IS NULL THEN d.last_error_message ELSE x.error_message END
      FROM go, unnest($33::text[], $34::uuid[], $35::text[], $36::timestamptz[], $37::timestamptz[],
                      $38::bigint[], $39::integer[], $40::text[], $41::text[])
               AS x (tenant_id, id, status, next_attempt_at, completed_at, attempts,
                     response_status, error_code, error_message)
     WHERE d.tenant_id = x.tenant_id AND d.id = x.id
    RETURNING 1
), new_attempts AS (
    INSERT INTO attempts (tenant_id, id, delivery_id, message_id, webhook_id, webhook_version, topic,
                          number, trigger, started_at, duration_ms, url, response_status,
                          response_headers, response_body_bytes, body_truncated, error_code,
                          error_message)
    SELECT x.tenant_id, x.id, x.delivery_id, x.message_id, x.webhook_id, x.webhook_version, x.topic,
           x.number, x.trigger, x.started_at, x.duration_ms, x.url, x.response_status,
           x.response_headers::json, x.response_body_bytes, x.body_truncated, x.error_code,
           x.error_message
      FROM go, unnest($42::text[], $43::uuid[], $44::uuid[], $45::uuid[], $46::uuid[], $47::bigint[],
                      $48::text[], $49::bigint[], $50::text[], $51::timestamptz[], $52::bigint[],
                      $53::text[], $54::integer[], $55::text[], $56::bigint[], $57::boolean[],
                      $58::text[], $59::text[])
               AS x (tenant_id, id, delivery_id, message_id, webhook_id, webhook_version, topic,
                     number, trigger, started_at, duration_ms, url, response_status,
                     response_headers, response_body_bytes, body_truncated, error_code,
                     error_message)
    RETURNING 1
), turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock($1)
      FROM go
     WHERE (SELECT count(*) FROM new_bodies) + (SELECT count(*) FROM new_messages)
         + (SELECT count(*) FROM new_deliveries) + (SELECT count(*) FROM changed_deliveries)
         + (SELECT count(*) FROM new_attempts) >= 0
), new_events AS (
    INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
                        metadata, tenant_id, recorded_at)
    SELECT x.aggregate_type, x.aggregate_id, x.sequence, x.event_type, x.event_version,
           x.payload::json, x.metadata::json, x.tenant_id, x.recorded_at
      FROM turn, unnest($60::text[], $61::text[], $62::bigint[], $63::text[], $64::text[],
                        $65::text[], $66::text[], $67::text[], $68::timestamptz[])
                 WITH ORDINALITY
                 AS x (aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
                       metadata, tenant_id, recorded_at, place)
     ORDER BY x.place
    RETURNING 1
), told AS MATERIALIZED (
    SELECT pg_notify('hookledger', x.notice)
      FROM go, unnest($69::text[]) AS x (notice)
)
SELECT (SELECT count(*) FROM new_events) AS events,
       (SELECT count(*) FROM told) AS told,
       ARRAY(SELECT tenant_id || ' ' || generation FROM stale) AS stale
