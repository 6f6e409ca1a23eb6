//! The secrets that a webhook's deliveries are signed with.

use actix_web::{HttpResponse, get, http::header::CACHE_CONTROL, post};
use hookledger_domain::{
    clock::rfc3339,
    permission::Permission,
    signature::{InvalidSecret, Secret},
    webhook::{GRACE_SECONDS_DEFAULT, GRACE_SECONDS_MAX},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    http::{
        call::Call,
        fields::{self, Body, Errors, Fields},
        openapi::{ActingFor, Commanded, Denied, OfTenant, Time, WebhookPath, WithBody},
        problem::Problem,
        tokens::NO_STORE,
    },
    tenants::{self, RevealedSecrets},
};

/// The secrets of a webhook.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Secrets {
    /// What deliveries are signed with.
    #[schema(pattern = "^whsec_.+$")]
    secret: String,
    /// The older ones that are still valid, newest first.
    previous: Vec<PreviousSecret>,
}

/// An older secret that is still valid.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreviousSecret {
    /// The secret.
    #[schema(pattern = "^whsec_.+$")]
    secret: String,
    /// Until when it is valid.
    #[schema(value_type = Time)]
    expires_at: String,
}

impl From<RevealedSecrets> for Secrets {
    fn from(revealed: RevealedSecrets) -> Self {
        let previous = |(secret, expires_at): (Secret, _)| PreviousSecret {
            secret: secret.as_str().to_owned(),
            expires_at: rfc3339(expires_at),
        };
        Self {
            secret: revealed.secret.as_str().to_owned(),
            previous: revealed.previous.into_iter().map(previous).collect(),
        }
    }
}

/// How to rotate a secret.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// How long the secret until now stays valid, in seconds; default: a day.
    #[schema(nullable = false, minimum = 0, maximum = 604_800, example = 86400)]
    grace_seconds: Option<u64>,
    /// The new secret: `whsec_` and base64 of 24 to 64 bytes; default: the server makes one. The
    /// present secret changes nothing; an older one that is still valid is taken back.
    #[schema(value_type = Option<String>, nullable = false, pattern = "^whsec_(([A-Za-z0-9+/]{4}){8,21}|([A-Za-z0-9+/]{4}){8,21}[A-Za-z0-9+/][AQgw]==|([A-Za-z0-9+/]{4}){8,20}[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)$")]
    secret: Option<Secret>,
}

impl Body for Rotation {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            grace_seconds: fields
                .optional("grace_seconds", fields::integer::<0, GRACE_SECONDS_MAX>),
            secret: fields.optional("secret", secret),
        })
    }
}

/// A webhook's secret
///
/// And the older ones that are still valid.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath),
    responses(
        Denied, OfTenant, Commanded,
        (status = 200, description = "The secrets.", body = Secrets),
    )
)]
#[get("/api/admin/webhooks/{id}/secret")]
pub(super) async fn webhook_secret(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::WebhooksSecret).await?;
    call.no_query()?;
    let id = call.id("webhook")?;
    let revealed = call
        .api()
        .tenants
        .reveal_secrets(&caller.tenant, id)
        .await?;
    Ok(shown(revealed))
}

/// Rotate a webhook's secret
///
/// For the grace, deliveries are signed with the new and the older secrets: at most five, each
/// until its own end.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath),
    request_body(content = Option<Rotation>, content_type = "application/json"),
    responses(
        Denied, OfTenant, WithBody, Commanded,
        (status = 200, description = "The secrets as they are now.", body = Secrets),
    )
)]
#[post("/api/admin/webhooks/{id}/secret/rotate")]
pub(super) async fn rotate_webhook_secret(mut call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::WebhooksWrite).await?;
    call.no_query()?;
    let id = call.id("webhook")?;
    let rotation: Rotation = call.optional_body().await?;
    let rotation = tenants::Rotation {
        grace_seconds: rotation.grace_seconds.unwrap_or(GRACE_SECONDS_DEFAULT),
        own: rotation.secret,
    };
    let origin = call.origin(&caller);
    let revealed = call
        .api()
        .tenants
        .rotate_secret(&caller.tenant, id, rotation, origin)
        .await?;
    Ok(shown(revealed))
}

fn shown(revealed: RevealedSecrets) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, NO_STORE))
        .json(Secrets::from(revealed))
}

fn secret(field: &str, value: &RawValue, errors: &mut Errors) -> Option<Secret> {
    let secret = Secret::parse(&fields::text(field, value, errors)?);
    secret
        .map_err(|error: InvalidSecret| errors.push(field, "invalid_secret", error.to_string()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_secret_is_judged() {
        let own = format!("whsec_{}", "A".repeat(32));
        let read = |body: &str| fields::read::<Rotation>(body.as_bytes());
        let rotation = read(&format!(r#"{{"secret":"{own}","grace_seconds":0}}"#)).unwrap();
        assert_eq!(rotation.secret.unwrap().as_str(), own);
        assert_eq!(rotation.grace_seconds, Some(0));
        for bad in ["whsec_AAAA", "hunter2", ""] {
            let problem = read(&format!(r#"{{"secret":"{bad}"}}"#)).unwrap_err();
            assert_eq!(
                (problem.errors[0].field.as_str(), problem.errors[0].code),
                ("secret", "invalid_secret")
            );
            assert!(bad.is_empty() || !problem.detail.contains(bad), "{problem}");
        }
        assert!(read(r#"{"secret":null}"#).is_err());
    }
}
