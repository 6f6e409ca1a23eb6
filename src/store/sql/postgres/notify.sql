SELECT pg_notify('hookledger', $1)
