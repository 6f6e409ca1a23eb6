#!/usr/bin/env python3
"""Makes the hashes of a Hookledger ledger (SQLite) anew, without any code of Hookledger.

    check-ledger.py hookledger.db

Prints how many events there are and the head, as `hookledger audit verify` does; ends with 1 if an event's
hash is not the one that stands beside it. It needs Python 3 and nothing else.
"""

import hashlib
import sqlite3
import sys

NONE = bytes(32)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def number(value):
    return value.to_bytes(8, "big", signed=True)


def text(value):
    value = (value or "").encode()
    return number(len(value)) + value


def content(event):
    return sha256(
        b"hookledger event 1",
        text(event["tenant_id"]),
        text(event["aggregate_type"]),
        text(event["aggregate_id"]),
        number(event["sequence"]),
        text(event["event_type"]),
        text(event["event_version"]),
        number(event["recorded_at"] * 1000),  # SQLite has milliseconds
        text(event["payload"]),
        text(event["metadata"]),
    )


def main(path):
    ledger = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    ledger.row_factory = sqlite3.Row
    streams, tenants, events = {}, {}, 0
    for event in ledger.execute("SELECT * FROM events ORDER BY position"):
        stream, tenant = (event["aggregate_type"], event["aggregate_id"]), event["tenant_id"] or ""
        _, count, last = tenants.get(tenant, (0, 0, NONE))
        position = event["position"]
        made = sha256(content(event), number(position), streams.get(stream, NONE), last)
        if made != event["hash"]:
            sys.exit(f"position {position}: the hash is not that of this event in this place")
        streams[stream], tenants[tenant] = made, (position, count + 1, made)
        events += 1
    heads = b"".join(
        text(tenant) + number(position) + number(count) + last
        for tenant, (position, count, last) in sorted(tenants.items())
    )
    print(f"{events} events, head {sha256(b'hookledger heads 1', heads).hex()}")


if __name__ == "__main__":
    main(sys.argv[1])
