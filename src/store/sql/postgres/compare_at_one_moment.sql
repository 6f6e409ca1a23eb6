-- Sees what was committed until now, whatever others do meanwhile; and joins large tables.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL enable_seqscan = on;
SET LOCAL enable_hashjoin = on;
SET LOCAL enable_mergejoin = on;
SET LOCAL enable_bitmapscan = on;
