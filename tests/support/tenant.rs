//! A tenant as its administrator sees it.

use serde_json::{Value, json};

use super::{Api, App, eventually};

/// A tenant and a client that may do everything within it.
#[derive(Clone)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) api: Api,
    pub(crate) platform: Api,
}

/// A webhook that a test has registered.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Webhook {
    /// Its path in the API.
    pub(crate) fn path(&self) -> String {
        format!("/api/admin/webhooks/{}", self.id)
    }
}

impl Tenant {
    pub(super) async fn new(id: &str, platform: Api) -> Self {
        let mut tenant = Self {
            id: id.to_owned(),
            api: platform.clone(),
            platform,
        };
        tenant.api = tenant.with_role("admin").await;
        tenant
    }

    /// The same tenant, asked for at another node.
    pub(crate) fn through(&self, node: &App) -> Self {
        let there = node.anonymous();
        Self {
            id: self.id.clone(),
            api: self.api.at(&there),
            platform: self.platform.at(&there),
        }
    }

    /// A client with a new token of this role.
    pub(crate) async fn with_role(&self, role: &str) -> Api {
        let path = format!("/api/platform/tenants/{}/tokens", self.id);
        let issued = self
            .platform
            .post(&path, json!({"name": role, "role": role}))
            .await
            .expect(201);
        self.platform.with_token(issued["token"].as_str().unwrap())
    }

    /// Suspends the tenant or ends that.
    pub(crate) async fn suspend(&self, is_suspended: bool) {
        let path = format!("/api/platform/tenants/{}", self.id);
        let changed = self
            .platform
            .patch(&path, json!({"is_suspended": is_suspended}))
            .await;
        assert_eq!(changed.expect(200)["is_suspended"], is_suspended);
    }

    /// Registers a webhook for these topics.
    pub(crate) async fn webhook(&self, url: &str, events: &[&str]) -> Webhook {
        self.webhook_with(json!({"name": "A webhook", "url": url, "events": events}))
            .await
    }

    /// Registers a webhook.
    pub(crate) async fn webhook_with(&self, body: Value) -> Webhook {
        let created = self.api.post("/api/admin/webhooks", body).await.expect(201);
        Webhook {
            id: created["id"].as_str().unwrap().to_owned(),
            secret: created["secret"].as_str().unwrap().to_owned(),
        }
    }

    /// Switches a webhook on or off.
    pub(crate) async fn set_active(&self, webhook: &Webhook, is_active: bool) {
        let path = webhook.path();
        let changed = self.api.patch(&path, json!({"is_active": is_active})).await;
        assert_eq!(changed.expect(200)["is_active"], is_active);
    }

    /// Publishes many messages with this topic, in batches.
    pub(crate) async fn publish_many(&self, event: &str, count: usize) {
        let numbers: Vec<usize> = (0..count).collect();
        for chunk in numbers.chunks(500) {
            let message = |n| json!({"event": event, "data": {"n": n}});
            let events: Vec<Value> = chunk.iter().map(message).collect();
            let batch = json!({"events": events});
            self.api.post("/api/events/batch", batch).await.expect(202);
        }
    }

    /// Publishes a message and gives its id.
    pub(crate) async fn publish(&self, event: &str, data: Value) -> String {
        let body = json!({"event": event, "data": data});
        let accepted = self.api.post("/api/events", body).await.expect(202);
        accepted["id"].as_str().unwrap().to_owned()
    }

    /// What Stripe has told of it.
    pub(crate) async fn billing(&self) -> Value {
        self.api.get("/api/admin/billing").await.expect(200)
    }

    /// The messages with this topic, newest first.
    pub(crate) async fn messages(&self, topic: &str) -> Vec<Value> {
        let mut messages = self.api.walk("/api/events", 200).await;
        messages.retain(|message| message["event"] == topic);
        messages
    }

    /// The deliveries that these parameters select, newest first.
    pub(crate) async fn deliveries(&self, query: &str) -> Vec<Value> {
        self.api
            .walk(&format!("/api/admin/deliveries?{query}"), 200)
            .await
    }

    /// The attempts that these parameters select, newest first.
    pub(crate) async fn logs(&self, query: &str) -> Vec<Value> {
        self.api
            .walk(&format!("/api/admin/logs?{query}"), 200)
            .await
    }

    /// The one delivery of a message, with its log.
    pub(crate) async fn delivery_of(&self, message: &str) -> Value {
        let rows = self.deliveries(&format!("message_id={message}")).await;
        let [row] = rows.as_slice() else {
            panic!("not one delivery: {rows:?}")
        };
        self.delivery(row["id"].as_str().unwrap()).await
    }

    /// A delivery, with its log.
    pub(crate) async fn delivery(&self, id: &str) -> Value {
        self.api
            .get(&format!("/api/admin/deliveries/{id}"))
            .await
            .expect(200)
    }

    /// Waits until the one delivery of a message has this status; gives it with its log.
    pub(crate) async fn until(&self, message: &str, status: &str) -> Value {
        eventually(&format!("a delivery that is {status}"), async || {
            let delivery = self.delivery_of(message).await;
            (delivery["status"] == status).then_some(delivery)
        })
        .await
    }

    /// Waits until a delivery has ended; gives it with its log.
    pub(crate) async fn until_ended(&self, delivery: &str) -> Value {
        eventually("the end of a delivery", async || {
            let delivery = self.delivery(delivery).await;
            (delivery["status"] != "pending").then_some(delivery)
        })
        .await
    }

    /// Waits until nothing is pending.
    pub(crate) async fn until_nothing_is_pending(&self) {
        eventually("the end of all deliveries", async || {
            let page = self
                .api
                .get("/api/admin/deliveries?status=pending&limit=1")
                .await
                .expect(200);
            page["data"].as_array().unwrap().is_empty().then_some(())
        })
        .await;
    }
}
