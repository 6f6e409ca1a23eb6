-- Callbacks that wait although they need not: one tenant has their customer, or they have had their effect.
SELECT u.*
  FROM unassigned_callbacks u
 WHERE (SELECT count(*)
          FROM (SELECT 1 FROM tenants t WHERE t.stripe_customer_id = u.customer_id LIMIT 2) x) = 1
    OR EXISTS (SELECT 1 FROM events e WHERE e.aggregate_type = 'callback' AND e.aggregate_id = u.id)
 ORDER BY u.created_at, u.id
 LIMIT $1
