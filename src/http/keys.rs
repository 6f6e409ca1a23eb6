//! The master keys that secrets are sealed with.

use actix_web::{HttpResponse, post};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    call::Call,
    openapi::{Commanded, Denied, OfPlatform},
    problem::Problem,
};
use crate::tenants;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(rotate_keys);
}

/// What came of rotating the master keys. Keys are named by the start of their SHA-256.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeysRotated {
    /// How many secrets were sealed anew.
    #[schema(example = 12)]
    resealed: u64,
    /// How many secrets no key opens. They were left as they are; the log names their webhooks.
    #[schema(example = 0)]
    unreadable: u64,
    /// Where the keys are kept.
    kept_in: Place,
    /// The keys that are needed. The first one seals; others still have to open something.
    #[schema(min_items = 1, example = json!(["b5bb9d80"]))]
    in_use: Vec<String>,
    /// The keys that are not needed any more. Those of the file are gone from it; those of the
    /// setting can be taken out of it.
    #[schema(example = json!(["7d865e95"]))]
    not_needed: Vec<String>,
}

/// Where master keys are kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeysPlace)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// In `master.key` in the server's data directory.
    File,
    /// In the setting `HOOKLEDGER_MASTER_KEY`.
    Setting,
}

impl From<tenants::KeysRotated> for KeysRotated {
    fn from(rotated: tenants::KeysRotated) -> Self {
        Self {
            resealed: rotated.resealed,
            unreadable: rotated.unreadable,
            kept_in: match rotated.is_in_file {
                true => Place::File,
                false => Place::Setting,
            },
            in_use: rotated.in_use,
            not_needed: rotated.not_needed,
        }
    }
}

/// Rotate the master keys
///
/// Seals the secrets of all webhooks with the newest master key, while everything goes on. Keys in
/// the server's own file are rotated as a whole: a new one is made, and the old one goes. Answers
/// when it is done, which takes a while with many webhooks; goes on if the client does not wait, and
/// is finished by the next call if it was cut off.
#[utoipa::path(
    tag = "Platform",
    responses(
        Denied, OfPlatform, Commanded,
        (status = 200, description = "Everything that can be opened is sealed with the first of the keys in use.", body = KeysRotated),
    )
)]
#[post("/api/platform/keys/rotate")]
async fn rotate_keys(call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    call.no_query()?;
    let origin = call.platform_origin(None);
    let rotated = call.api().tenants.rotate_keys(origin).await?;
    Ok(HttpResponse::Ok().json(KeysRotated::from(rotated)))
}
