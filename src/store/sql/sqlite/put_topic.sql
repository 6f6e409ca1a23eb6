INSERT INTO topics (name, description, schema) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET description = excluded.description, schema = excluded.schema
