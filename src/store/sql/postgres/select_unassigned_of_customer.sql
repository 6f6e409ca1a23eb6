-- The oldest first: so they are told of in the order in which they happened.
SELECT * FROM unassigned_callbacks WHERE customer_id = $1 ORDER BY created_at, id LIMIT $2
