"""What somebody does who can write a ledger and knows how its hashes are made: makes all of them anew.

    forge.py check-ledger.py hookledger.db
"""

import importlib.util
import sqlite3
import sys

spec = importlib.util.spec_from_file_location("check", sys.argv[1])
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)

ledger = sqlite3.connect(sys.argv[2])
ledger.row_factory = sqlite3.Row
streams, tenants = {}, {}
for event in ledger.execute("SELECT * FROM events ORDER BY position").fetchall():
    stream, tenant = (event["aggregate_type"], event["aggregate_id"]), event["tenant_id"] or ""
    position = event["position"]
    made = check.sha256(
        check.content(event),
        check.number(position),
        streams.get(stream, check.NONE),
        tenants.get(tenant, check.NONE),
    )
    streams[stream] = tenants[tenant] = made
    ledger.execute("UPDATE events SET hash = ? WHERE position = ?", (made, position))
for tenant, made in tenants.items():
    ledger.execute("UPDATE heads SET hash = ? WHERE tenant_id = ?", (made, tenant))
ledger.commit()
