INSERT INTO invoices (tenant_id, id, customer_id, subscription_id, status, amount_due, amount_paid,
                      currency, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (tenant_id, id) DO UPDATE
   SET customer_id = excluded.customer_id, subscription_id = excluded.subscription_id,
       status = excluded.status, amount_due = excluded.amount_due, amount_paid = excluded.amount_paid,
       currency = excluded.currency, created_at = excluded.created_at
