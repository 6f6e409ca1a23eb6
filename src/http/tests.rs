use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn json() -> Value {
    serde_json::to_value(document()).unwrap()
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let mut all = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            all.push((format!("{method} {path}"), operation));
        }
    }
    all
}

#[test]
fn the_document_has_the_contracts_routes_and_no_others() {
    let document = json();
    let found: BTreeSet<String> = operations(&document)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let expected = "
        delete /api/admin/logs/{id}/body
        delete /api/admin/tokens/{id}
        delete /api/admin/webhooks/{id}
        delete /api/events/{id}/body
        delete /api/platform/tenants/{tenant}/tokens/{id}
        delete /api/platform/topics/{topic}
        get /api/admin/audit
        get /api/admin/audit/export
        get /api/admin/audit/verify
        get /api/admin/billing
        get /api/admin/deliveries
        get /api/admin/deliveries/{id}
        get /api/admin/deliveries/{id}/explain
        get /api/admin/logs
        get /api/admin/tokens
        get /api/admin/topics
        get /api/admin/webhooks
        get /api/admin/webhooks/{id}
        get /api/admin/webhooks/{id}/history
        get /api/admin/webhooks/{id}/logs
        get /api/admin/webhooks/{id}/recoveries
        get /api/admin/webhooks/{id}/recoveries/{recovery_id}
        get /api/admin/webhooks/{id}/secret
        get /api/admin/webhooks/{id}/stats
        get /api/events
        get /api/events/{id}
        get /api/platform/audit
        get /api/platform/audit/export
        get /api/platform/audit/seals
        get /api/platform/audit/verify
        get /api/platform/billing/unassigned
        get /api/platform/nodes
        get /api/platform/tenants
        get /api/platform/tenants/{tenant}
        get /api/platform/tenants/{tenant}/tokens
        get /api/platform/topics
        get /healthz
        get /metrics
        get /openapi.json
        get /readyz
        patch /api/admin/webhooks/{id}
        patch /api/platform/tenants/{tenant}
        post /api/admin/deliveries/{id}/cancel
        post /api/admin/deliveries/{id}/redeliver
        post /api/admin/tokens
        post /api/admin/webhooks
        post /api/admin/webhooks/{id}/recover
        post /api/admin/webhooks/{id}/recoveries/{recovery_id}/cancel
        post /api/admin/webhooks/{id}/secret/rotate
        post /api/admin/webhooks/{id}/test
        post /api/billing/stripe/webhook
        post /api/events
        post /api/events/batch
        post /api/platform/audit/seals
        post /api/platform/billing/unassigned/{id}/assign
        post /api/platform/keys/rotate
        post /api/platform/rebuild
        post /api/platform/tenants
        post /api/platform/tenants/{tenant}/tokens
        put /api/admin/webhooks/{id}
        put /api/platform/topics/{topic}
    ";
    let expected = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned);
    assert_eq!(found, expected.collect());
}

/// Whether it takes what somebody has signed, of whatever shape, instead of a token.
fn is_signed(name: &str) -> bool {
    name == "post /api/billing/stripe/webhook"
}

#[test]
fn every_operation_says_how_it_may_fail() {
    let document = json();
    for (name, operation) in operations(&document) {
        assert!(operation["summary"].is_string(), "{name}");
        let responses = operation["responses"].as_object().unwrap();
        if is_signed(&name) {
            for status in ["400", "413", "429", "500", "503"] {
                assert!(responses.contains_key(status), "{name} {status}");
            }
            assert_eq!(operation["security"], serde_json::json!([{}]), "{name}");
        } else if name.contains(" /api/") {
            for status in ["401", "403", "500", "503"] {
                assert!(responses.contains_key(status), "{name} {status}");
            }
        } else {
            assert_eq!(operation["security"], serde_json::json!([{}]), "{name}");
        }
        if operation["requestBody"].is_object() && !is_signed(&name) {
            for status in ["400", "413", "415", "422"] {
                assert!(responses.contains_key(status), "{name} {status}");
            }
        }
        for (status, response) in responses {
            let is_problem = response["content"].get(problem::MEDIA_TYPE).is_some();
            assert_eq!(
                is_problem,
                status.starts_with(['4', '5']),
                "{name} {status}"
            );
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    found.insert(reference.clone());
                }
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = json();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn the_document_is_openapi_3_1_of_this_version() {
    let document = json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
}

#[test]
fn request_bodies_take_no_unknown_fields() {
    let document = json();
    for name in [
        "NewMessage",
        "Batch",
        "BatchMessage",
        "NewWebhook",
        "WebhookChanges",
        "NewTenant",
        "TenantChanges",
        "NewToken",
        "Rotation",
        "Trial",
        "TopicDefinition",
    ] {
        let schema = &document["components"]["schemas"][name];
        assert_eq!(schema["additionalProperties"], false, "{name}: {schema}");
    }
}
