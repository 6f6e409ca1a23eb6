INSERT INTO webhooks (tenant_id, id, config, is_active, secrets, created_at, updated_at, version,
                      is_deleted)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
