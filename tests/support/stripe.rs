//! Stripe, as far as it can be told from outside: it signs what it brings, and brings it again until it is
//! answered with 200.

use std::fmt::Display;

use chrono::Utc;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Answer, Api, App, eventually};

/// Where callbacks are brought.
pub(crate) const WEBHOOK: &str = "/api/billing/stripe/webhook";
/// What they are signed with unless a test says otherwise.
pub(crate) const STRIPE_SECRET: &str = "whsec_c2lnbmluZyBzZWNyZXQgb2YgYWxsIHRoZSB0ZXN0";
/// The setting that lets a server know it.
pub(crate) const STRIPE: (&str, &str) = ("STRIPE_WEBHOOK_SECRET", STRIPE_SECRET);
/// When what the tests tell of began, in Unix seconds.
pub(crate) const BEGINNING: i64 = 1_790_000_000;

/// The block of SHA-256, in bytes.
const BLOCK_BYTES: usize = 64;

/// Stripe, with one of the secrets.
#[derive(Clone)]
pub(crate) struct Stripe {
    api: Api,
    secret: String,
}

/// How objects look: an API version decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Up to `2025-02-24.acacia`.
    Before,
    /// From `2025-03-31.basil` on.
    SinceBasil,
}

impl Shape {
    pub(crate) const ALL: [Self; 2] = [Self::Before, Self::SinceBasil];
}

impl Stripe {
    pub(crate) fn of(app: &App) -> Self {
        Self {
            api: app.anonymous(),
            secret: STRIPE_SECRET.to_owned(),
        }
    }

    /// The same with another secret.
    pub(crate) fn with_secret(&self, secret: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            ..self.clone()
        }
    }

    /// Brings an event, signed just now.
    pub(crate) async fn bring(&self, event: &Value) -> Answer {
        self.bring_bytes(event.to_string().as_bytes()).await
    }

    /// Brings what may be no event, signed just now.
    pub(crate) async fn bring_bytes(&self, body: &[u8]) -> Answer {
        self.bring_with(&header(&self.secret, body), body).await
    }

    /// Brings a body with a header that somebody else has made.
    pub(crate) async fn bring_with(&self, header: &str, body: &[u8]) -> Answer {
        let headers = [("Stripe-Signature", header)];
        self.api.send("POST", WEBHOOK, &headers, Some(body)).await
    }

    /// Brings an event that must be new, and of which this must become.
    pub(crate) async fn tell(&self, event: &Value, outcome: &str) {
        let answer = self.bring(event).await.expect(200);
        let expected = json!({"id": event["id"], "outcome": outcome, "duplicate": false});
        assert_eq!(answer, expected, "{event}");
    }

    /// Brings an event; gives what became of it, or nothing where the server is away or cannot take it.
    pub(crate) async fn try_bring(&self, event: &Value) -> Option<Value> {
        let body = event.to_string();
        let signature = header(&self.secret, body.as_bytes());
        let headers = [("Stripe-Signature", signature.as_str())];
        let answer = self
            .api
            .try_send("POST", WEBHOOK, &headers, Some(body.as_bytes()));
        let answer = answer.await.filter(|answer| answer.status == 200)?;
        Some(answer.expect(200))
    }
}

/// `Stripe-Signature` of a body that is signed now.
pub(crate) fn header(secret: &str, body: &[u8]) -> String {
    let now = Utc::now().timestamp();
    format!("t={now},v1={}", sign(secret, now, body))
}

/// The signature of a body at a time, in hexadecimal.
pub(crate) fn sign(secret: &str, time: impl Display, body: &[u8]) -> String {
    let content = [format!("{time}.").as_bytes(), body].concat();
    hex(&hmac(secret.as_bytes(), &content))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC-SHA256 as RFC 2104 says it: not the code that the server verifies with.
pub(crate) fn hmac(key: &[u8], content: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let hash = |pad: u8, content: &[u8]| {
        let padded = block.map(|byte| byte ^ pad);
        Sha256::new()
            .chain_update(padded)
            .chain_update(content)
            .finalize()
    };
    hash(0x5c, &hash(0x36, content)).into()
}

/// An event of Stripe's, so many seconds after the beginning.
pub(crate) fn event(id: &str, kind: &str, seconds: i64, object: Value) -> Value {
    json!({
        "id": id, "object": "event", "api_version": "2025-03-31.basil", "created": BEGINNING + seconds,
        "data": {"object": object}, "livemode": false, "pending_webhooks": 1,
        "request": {"id": null, "idempotency_key": null}, "type": kind,
    })
}

/// A checkout session that was completed.
pub(crate) fn checkout(customer: &str, reference: Option<&str>) -> Value {
    json!({
        "id": "cs_test_1", "object": "checkout.session", "customer": customer, "mode": "subscription",
        "client_reference_id": reference, "metadata": {}, "payment_status": "paid", "status": "complete",
    })
}

/// A subscription; it was made at the beginning, and its month ends 30 days later.
pub(crate) fn subscription(shape: Shape, id: &str, customer: &str, status: &str) -> Value {
    let end = BEGINNING + 30 * 86_400;
    let mut item = json!({
        "id": "si_1", "object": "subscription_item", "quantity": 1,
        "price": {"id": "price_gold", "object": "price", "currency": "usd", "unit_amount": 1999},
    });
    let mut object = json!({
        "id": id, "object": "subscription", "customer": customer, "status": status, "created": BEGINNING,
        "cancel_at_period_end": false, "metadata": {},
    });
    let place = match shape {
        Shape::Before => &mut object,
        Shape::SinceBasil => &mut item,
    };
    place["current_period_end"] = json!(end);
    place["current_period_start"] = json!(BEGINNING);
    object["items"] = json!({"object": "list", "has_more": false, "data": [item]});
    object
}

/// An invoice over 19.99 dollars for a subscription, made at the beginning.
pub(crate) fn invoice(
    shape: Shape,
    id: &str,
    customer: &str,
    subscription: &str,
    status: &str,
) -> Value {
    let paid = if status == "paid" { 1999 } else { 0 };
    let mut object = json!({
        "id": id, "object": "invoice", "customer": customer, "status": status, "created": BEGINNING,
        "amount_due": 1999, "amount_paid": paid, "amount_remaining": 1999 - paid, "currency": "usd",
        "metadata": {}, "lines": {"object": "list", "data": []},
    });
    match shape {
        Shape::Before => object["subscription"] = json!(subscription),
        Shape::SinceBasil => {
            let details = json!({"subscription": subscription, "metadata": {}});
            object["parent"] =
                json!({"type": "subscription_details", "subscription_details": details});
        }
    }
    object
}

/// An object of which some members are others.
pub(crate) fn but(mut object: Value, members: Value) -> Value {
    let members = members.as_object().expect("members").clone();
    object.as_object_mut().expect("an object").extend(members);
    object
}

/// An object of which the platform has written whose it is.
pub(crate) fn of_tenant(object: Value, tenant: &str) -> Value {
    but(object, json!({"metadata": {"tenant_id": tenant}}))
}

/// Waits until no callback waits for a tenant.
pub(crate) async fn until_nothing_waits(app: &App) {
    let platform = app.platform();
    eventually("an owner of every callback", async || {
        let waiting = platform.get("/api/platform/billing/unassigned").await;
        let waiting = waiting.expect(200);
        waiting["data"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
}
