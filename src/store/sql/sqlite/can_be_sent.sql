-- Whether the body of what a delivery sends is there.
SELECT EXISTS (SELECT 1
                 FROM deliveries d
                      CROSS JOIN messages m ON m.id = d.message_id
                      CROSS JOIN bodies b ON b.position = m.position
                WHERE d.id = ?2 AND d.tenant_id = ?1)
