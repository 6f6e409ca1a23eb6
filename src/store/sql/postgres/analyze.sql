ANALYZE events, bodies, tenants, tokens, topics, webhooks, messages, deliveries, attempts
