-- A whole batch of commits, in one round trip and one transaction. First what the events change in
-- the views, then the lock, then the events: so positions are given out and events are chained under
-- the lock, become visible in their order, and the lock is held for as little as may be. How attempts
-- ended changes webhooks under the lock, too: of two outcomes the one with the higher position counts.
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
    INSERT INTO deliveries (tenant_id, id, message_id, webhook_id, topic, trigger, queue, status,
                            attempts, created_at, next_attempt_at, completed_at,
                            last_response_status, last_error_code, last_error_message)
    SELECT x.*
      FROM go, unnest($19::text[], $20::uuid[], $21::uuid[], $22::uuid[], $23::text[], $24::text[],
                      $25::text[], $26::text[], $27::bigint[], $28::timestamptz[],
                      $29::timestamptz[], $30::timestamptz[], $31::integer[], $32::text[],
                      $33::text[]) AS x
    RETURNING 1
), changed_deliveries AS (
    UPDATE deliveries d
       SET status = coalesce(x.status, d.status),
           next_attempt_at = x.next_attempt_at,
           completed_at = CASE WHEN x.status IS NULL THEN d.completed_at ELSE x.completed_at END,
           attempts = coalesce(x.attempts, d.attempts),
           last_response_status =
               CASE WHEN x.attempts IS NULL THEN d.last_response_status ELSE x.response_status END,
           last_error_code =
               CASE WHEN x.attempts IS NULL THEN d.last_error_code ELSE x.error_code END,
           last_error_message =
               CASE WHEN x.attempts IS NULL THEN d.last_error_message ELSE x.error_message END
      FROM go, unnest($34::text[], $35::uuid[], $36::text[], $37::timestamptz[], $38::timestamptz[],
                      $39::bigint[], $40::integer[], $41::text[], $42::text[])
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
      FROM go, unnest($43::text[], $44::uuid[], $45::uuid[], $46::uuid[], $47::uuid[], $48::bigint[],
                      $49::text[], $50::bigint[], $51::text[], $52::timestamptz[], $53::bigint[],
                      $54::text[], $55::integer[], $56::text[], $57::bigint[], $58::boolean[],
                      $59::text[], $60::text[])
               AS x (tenant_id, id, delivery_id, message_id, webhook_id, webhook_version, topic,
                     number, trigger, started_at, duration_ms, url, response_status,
                     response_headers, response_body_bytes, body_truncated, error_code,
                     error_message)
    RETURNING 1
), known AS MATERIALIZED (
    SELECT ARRAY(SELECT CASE WHEN x.sequence > 1 AND x.follows IS NULL
                             THEN (SELECT p.hash
                                     FROM events p
                                    WHERE p.aggregate_id = x.aggregate_id
                                      AND p.aggregate_type = x.aggregate_type
                                      AND p.sequence = x.sequence - 1
                                      AND p.tenant_id = x.tenant_id)
                        END
                   FROM unnest($65::text[], $66::text[], $67::bigint[], $72::text[], $75::bigint[])
                            WITH ORDINALITY
                            AS x (aggregate_type, aggregate_id, sequence, tenant_id, follows, place)
                  ORDER BY x.place) AS hashes
      FROM go
), turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock($1), k.hashes
      FROM known k
     WHERE (SELECT count(*) FROM new_bodies) + (SELECT count(*) FROM new_messages)
         + (SELECT count(*) FROM new_deliveries) + (SELECT count(*) FROM changed_deliveries)
         + (SELECT count(*) FROM new_attempts) >= 0
), chained AS MATERIALIZED (
    SELECT c.*, note_outcomes($61::text[], $62::uuid[], $63::boolean[], $64::timestamptz[]) AS failing
      FROM turn t, chain_events($72::text[], $74::bytea[], t.hashes, $75::bigint[]) c
), new_events AS (
    INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
                        metadata, tenant_id, recorded_at, position, hash)
    SELECT x.aggregate_type, x.aggregate_id, x.sequence, x.event_type, x.event_version,
           x.payload::json, x.metadata::json, x.tenant_id, x.recorded_at, x.position, x.hash
      FROM chained c,
           unnest($65::text[], $66::text[], $67::bigint[], $68::text[], $69::text[], $70::text[],
                  $71::text[], $72::text[], $73::timestamptz[], c.positions, c.hashes)
               AS x (aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
                     metadata, tenant_id, recorded_at, position, hash)
     ORDER BY x.position
    RETURNING 1
), told AS MATERIALIZED (
    SELECT pg_notify('hookledger', x.notice)
      FROM go, unnest($76::text[]) AS x (notice)
)
SELECT (SELECT count(*) FROM new_events) AS events,
       (SELECT count(*) FROM told) AS told,
       ARRAY(SELECT tenant_id || ' ' || generation FROM stale) AS stale
