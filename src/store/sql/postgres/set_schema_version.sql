INSERT INTO schema_version (id, version) VALUES (true, $1)
ON CONFLICT (id) DO UPDATE SET version = excluded.version
