"""Verifies requests as a receiver in Python does. Reads the file that is its argument."""

import base64
import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

OTHER = "whsec_" + base64.b64encode(b"\x01" * 32).decode()


def is_refused(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return True
    return False


with open(sys.argv[1], encoding="utf-8") as file:
    requests = json.load(file)

for request in requests:
    secret, headers = request["secret"], request["headers"]
    body = base64.b64decode(request["body_base64"]).decode()
    changed = body.replace("ticket", "tocket", 1)
    later = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}
    assert Webhook(secret).verify(body, headers)["event"] == "ticket.updated"
    assert is_refused(secret, changed, headers)
    assert is_refused(OTHER, body, headers)
    assert is_refused(secret, body, later)

print(f"verified {len(requests)}")
