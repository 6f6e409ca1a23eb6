INSERT INTO events (position, aggregate_type, aggregate_id, sequence, event_type, event_version,
                    payload, metadata, tenant_id, recorded_at, hash)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
