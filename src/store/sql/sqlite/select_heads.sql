SELECT tenant_id, position, events, hash FROM heads
