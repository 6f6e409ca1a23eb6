INSERT INTO unassigned_callbacks (id, received_at, reason, type, created_at, livemode, customer_id,
                                  metadata_tenant, client_reference)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
