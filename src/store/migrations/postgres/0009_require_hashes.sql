-- All events are chained by now. Whoever does not chain his own may not append: a node of an older version
-- is refused, rather than break the chain.
ALTER TABLE events ALTER COLUMN hash SET NOT NULL;
