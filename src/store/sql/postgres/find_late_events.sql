-- Which of these are taken already.
SELECT x.place
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
       AS x (aggregate_type, aggregate_id, sequence, place)
 WHERE EXISTS (SELECT
                 FROM events e
                WHERE e.aggregate_id = x.aggregate_id AND e.aggregate_type = x.aggregate_type
                  AND e.sequence = x.sequence)
