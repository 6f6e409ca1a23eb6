INSERT INTO tokens (tenant_id, id, name, role, token_sha256, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
