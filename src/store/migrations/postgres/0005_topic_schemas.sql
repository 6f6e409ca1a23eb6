-- The JSON Schema of a topic, as it was written.
ALTER TABLE topics ADD COLUMN schema text;
