INSERT INTO subscriptions (tenant_id, id, customer_id, status, plan, current_period_end,
                           cancel_at_period_end, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id, id) DO UPDATE
   SET customer_id = excluded.customer_id, status = excluded.status, plan = excluded.plan,
       current_period_end = excluded.current_period_end,
       cancel_at_period_end = excluded.cancel_at_period_end, created_at = excluded.created_at
