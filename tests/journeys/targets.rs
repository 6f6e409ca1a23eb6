//! Where webhooks may point: nowhere that a tenant should not reach through this server.

use serde_json::json;

use crate::support::{App, Receiver, Tenant};

async fn refusal(tenant: &Tenant, url: &str) -> String {
    let body = json!({"name": "x", "url": url, "events": ["*"]});
    let problem = tenant
        .api
        .post("/api/admin/webhooks", body)
        .await
        .problem(422, "invalid_content");
    let error = &problem["errors"][0];
    assert_eq!(error["field"], "url", "{url}");
    error["code"].as_str().unwrap().to_owned()
}

const NO_URLS: [&str; 18] = [
    "",
    "example.com/hooks",
    "/hooks",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "gopher://example.com/",
    "https://",
    "https:///path",
    "https://user:password@example.com/",
    "https://user@example.com/",
    "https://@example.com/",
    " https://example.com/",
    "https://example.com/a b",
    "https://exa\tmple.com/",
    "https://example.com\\@127.0.0.1/",
    "https://example.com:99999/",
    "https://[::1/",
];

const PRIVATE: [&str; 48] = [
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://127.0.0.1./",
    "https://0.0.0.0/",
    "https://0/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://168.63.129.16/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://198.51.100.1/",
    "https://203.0.113.1/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a00:1]/",
    "https://[::127.0.0.1]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001::1]/",
    "https://[2001:db8::1]/",
    "https://[2606:4700:0:0:0:5efe:7f00:1]/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://intranet/",
    "https://a.home.arpa/",
    "https://a.test/",
    "https://a.invalid/",
    "https://a.onion/",
    "https://example.com:22/",
    "https://example.com:6667/",
];

#[tokio::test]
async fn by_default_only_public_https_targets_are_accepted() {
    let app = App::with(&[("ALLOW_HTTP", "false"), ("EGRESS_ALLOW", "")]).await;
    let tenant = app.tenant("acme").await;
    for url in NO_URLS {
        assert_eq!(refusal(&tenant, url).await, "invalid_url", "{url}");
    }
    for url in PRIVATE {
        assert_eq!(refusal(&tenant, url).await, "refused_target", "{url}");
    }
    assert_eq!(refusal(&tenant, "http://8.8.8.8/").await, "refused_target");
    let long = format!("https://8.8.8.8/{}", "x".repeat(2048));
    assert_eq!(refusal(&tenant, &long).await, "invalid_url");
    for url in [
        "https://8.8.8.8/hooks?x=1",
        "https://8.8.8.8:8443/",
        "https://[2606:4700:4700::1111]/",
    ] {
        let webhook = tenant.webhook(url, &["*"]).await;
        for bad in ["https://127.0.0.1/", "https://localhost/"] {
            tenant
                .api
                .patch(&webhook.path(), json!({"url": bad}))
                .await
                .problem(422, "invalid_content");
        }
        assert_eq!(
            tenant.api.get(&webhook.path()).await.expect(200)["url"],
            url
        );
    }
    // The answer to a refusal repeats neither path nor query, which may hold a secret.
    let body = json!({"name": "x", "url": "https://127.0.0.1/p4th?q=s3cret", "events": ["*"]});
    let text = tenant.api.post("/api/admin/webhooks", body).await.text();
    assert!(!text.contains("p4th") && !text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn what_is_allowed_is_what_the_operator_has_named() {
    let receiver = Receiver::start().await;
    let port = receiver.url("").rsplit_once(':').unwrap().1.to_owned();
    let allowed = format!("127.0.0.0/8:{port}");
    let app = App::with(&[("EGRESS_ALLOW", &allowed)]).await;
    let tenant = app.tenant("acme").await;
    let webhook = tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    for url in [
        "http://127.0.0.1:9/",
        "http://127.0.0.1:8080/",
        "http://[::1]/",
        "http://10.0.0.1/",
    ] {
        assert_eq!(refusal(&tenant, url).await, "refused_target", "{url}");
    }
    tenant.publish("ticket.created", json!({})).await;
    receiver.arrived("/hooks", 1).await[0].verify(&webhook.secret);
    // A name counts by the addresses that it leads to.
    let by_name = format!("http://localhost:{port}/named");
    let code = tenant
        .api
        .post(
            "/api/admin/webhooks",
            json!({"name": "x", "url": by_name, "events": ["*"]}),
        )
        .await;
    assert!(code.status == 201 || code.status == 422, "{}", code.text());
}

#[tokio::test]
async fn the_servers_own_address_is_never_a_target() {
    let app = App::start().await;
    let tenant = app.tenant("acme").await;
    let port = app.address().port();
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ] {
        let url = format!("http://{host}:{port}/api/events");
        assert_eq!(refusal(&tenant, &url).await, "refused_target", "{url}");
    }
    let by_name = format!("http://localhost:{port}/");
    assert_eq!(refusal(&tenant, &by_name).await, "refused_target");
    // Another port on the same address is another matter.
    tenant.webhook("http://127.0.0.1:4000/", &["*"]).await;
}

/// What was allowed when it was configured is judged again at each attempt.
#[tokio::test]
async fn a_target_that_is_not_allowed_any_more_is_not_reached() {
    let receiver = Receiver::start().await;
    let mut app = App::with(&[("RETRY_SCHEDULE", "")]).await;
    let tenant = app.tenant("acme").await;
    tenant.webhook(&receiver.url("/hooks"), &["*"]).await;
    app.terminate();
    assert!(app.ended().await.success());
    app.set("EGRESS_ALLOW", "");
    app.restart().await;
    let message = tenant.publish("ticket.created", json!({})).await;
    let delivery = tenant.until(&message, "exhausted").await;
    assert_eq!(delivery["last_error"]["code"], "refused_target");
    assert!(receiver.requests().is_empty());
}
