//! What operators ask: does the process run, can it do its work, what has it done.

use actix_web::{HttpResponse, get, http::StatusCode, http::header::CONTENT_TYPE, web::Data};
use async_trait::async_trait;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Api, openapi::NotReadyAnswer, problem::Problem};
use crate::metrics;

/// Says whether the server can do its work.
#[async_trait]
pub trait Health: Send + Sync + 'static {
    /// Asks every part that the work needs.
    async fn check(&self) -> Result<(), NotReady>;
}

/// Why the server cannot do its work now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct NotReady {
    /// The part, in snake case: `store_unavailable`, `dispatcher_stalled`, `shutting_down`.
    pub code: &'static str,
    /// More about it, for operators; no secrets.
    pub detail: String,
}

/// That all is well.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Well {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

const RETRY_AFTER_SECONDS: u64 = 1;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(healthz)
        .service(readyz)
        .service(show_metrics);
}

/// Whether the process runs
#[utoipa::path(
    tag = "Operations",
    security(()),
    responses((status = 200, description = "It does.", body = Well))
)]
#[get("/healthz")]
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(Well { status: "ok" })
}

/// Whether the server can do its work
///
/// The store can be written and the dispatcher runs.
#[utoipa::path(
    tag = "Operations",
    security(()),
    responses((status = 200, description = "It can.", body = Well), NotReadyAnswer)
)]
#[get("/readyz")]
async fn readyz(api: Data<Api>) -> Result<HttpResponse, Problem> {
    match api.health.check().await {
        Ok(()) => Ok(HttpResponse::Ok().json(Well { status: "ok" })),
        Err(NotReady { code, detail }) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
                .retry_after(RETRY_AFTER_SECONDS))
        }
    }
}

/// What the server counts, for Prometheus
#[utoipa::path(
    tag = "Operations",
    operation_id = "metrics",
    security(()),
    responses((
        status = 200,
        description = "The metrics in the OpenMetrics text format.",
        body = String,
        content_type = "application/openmetrics-text"
    ))
)]
#[get("/metrics")]
async fn show_metrics(api: Data<Api>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, metrics::MEDIA_TYPE))
        .body(api.metrics.encode())
}
