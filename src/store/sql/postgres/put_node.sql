INSERT INTO nodes (id, version, address, started_at, lease_expires_at, lag_ms)
VALUES ($1, $2, $3, $4, clock_timestamp() + $5 * interval '1 millisecond', $6)
ON CONFLICT (id) DO UPDATE
   SET lease_expires_at = excluded.lease_expires_at, lag_ms = excluded.lag_ms
