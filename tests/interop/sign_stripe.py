"""Signs callbacks as Stripe's library for Python does. Reads the file that is its argument; prints one header a
line."""

import base64
import json
import sys

import stripe

with open(sys.argv[1], encoding="utf-8") as file:
    callbacks = json.load(file)

for callback in callbacks:
    payload = base64.b64decode(callback["body_base64"]).decode()
    secret = callback["secret"]
    header = stripe.WebhookSignature.generate_signature_header(payload, secret, callback["timestamp"])
    # The library would believe it, too.
    assert stripe.WebhookSignature.verify_header(payload, header, secret, tolerance=300)
    print(header)
