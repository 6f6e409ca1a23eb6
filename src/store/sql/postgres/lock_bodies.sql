-- Keeps others from asking for what these are needed for. Those of which somebody just does are left
-- out.
SELECT b.tenant_id, b.id
  FROM unnest($1::text[], $2::uuid[]) AS x (tenant_id, id)
       JOIN bodies b ON b.tenant_id = x.tenant_id AND b.id = x.id
   FOR UPDATE OF b SKIP LOCKED
