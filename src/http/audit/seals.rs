//! Seals: what the ledger was at a position, to be kept elsewhere.

use actix_web::{HttpResponse, get, http::StatusCode, post};
use base64::{Engine, engine::general_purpose::STANDARD};
use hookledger_domain::clock::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use super::RETRY_AFTER_SECONDS;
use crate::{
    http::{
        call::Call,
        openapi::{Denied, OfPlatform, Paging, Sealing, Time},
        pages::{List, cut, list},
        problem::Problem,
        query::PAGING,
    },
    store::{Error, Seal},
};

/// What the whole ledger was at a position.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Seal)]
#[serde(deny_unknown_fields)]
struct SealView {
    /// Its number, from 1.
    #[schema(minimum = 1)]
    number: u64,
    /// Up to where it covers the ledger.
    position: u64,
    /// How many events there were.
    events: u64,
    /// What stands for all of them.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    head: String,
    /// Its own hash, which covers all of this and the seal before it.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    hash: String,
    /// When it was made.
    #[schema(value_type = Time)]
    sealed_at: String,
    /// What to keep elsewhere, and to verify with: `NUMBER.POSITION.HASH`.
    #[schema(pattern = "^[0-9]+\\.[0-9]+\\.[0-9a-f]{64}$")]
    seal: String,
    /// The Ed25519 signature of `hookledger seal 1` and the 32 bytes of `hash`, in base64; `null` if the
    /// server had no key.
    #[schema(required = true)]
    signature: Option<String>,
}

impl From<&Seal> for SealView {
    fn from(seal: &Seal) -> Self {
        Self {
            number: seal.number,
            position: seal.head.position,
            events: seal.head.events,
            head: seal.head.hash.to_string(),
            hash: seal.hash.to_string(),
            sealed_at: rfc3339(seal.sealed_at),
            seal: seal.mark().to_string(),
            signature: seal.signature.as_ref().map(|bytes| STANDARD.encode(bytes)),
        }
    }
}

/// The seals of the ledger
///
/// Newest first.
#[utoipa::path(
    tag = "Audit",
    params(Paging),
    responses(
        Denied, OfPlatform,
        (status = 200, description = "A page of seals.", body = List<SealView>),
    )
)]
#[get("/api/platform/audit/seals")]
pub(super) async fn list_seals(call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    let page = call.query(&[&PAGING])?.page::<u64>()?;
    let seals = call.api().desk.audit.seals().await?;
    let rows = cut(
        seals.iter().rev(),
        page,
        |seal, after| seal.number < *after,
        |seal| seal.number,
    );
    Ok(list(rows, SealView::from))
}

/// Seal the ledger as it is now
///
/// If nothing was appended since the last seal, that one is given.
#[utoipa::path(
    tag = "Audit",
    responses(
        Denied, OfPlatform, Sealing,
        (status = 200, description = "The last seal: nothing was appended since.", body = SealView),
        (status = 201, description = "A new seal.", body = SealView),
    )
)]
#[post("/api/platform/audit/seals")]
pub(super) async fn seal_ledger(call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    call.no_query()?;
    let (api, desk) = (call.api(), &call.api().desk);
    let before = desk.audit.last_seal().await?.map(|seal| seal.number);
    let sealed = desk.sealer.seal(api.clock.now(), desk.signer.as_deref());
    let seal = match sealed.await {
        Ok(Some(seal)) => seal,
        Ok(None) => {
            let detail = "the ledger is empty";
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "nothing_to_seal",
                detail,
            ));
        }
        Err(Error::Busy) => {
            return Err(Problem::busy(
                "others seal at the same time",
                RETRY_AFTER_SECONDS,
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let mut answer = match before {
        Some(number) if number == seal.number => HttpResponse::Ok(),
        _ => HttpResponse::Created(),
    };
    Ok(answer.json(SealView::from(&seal)))
}
