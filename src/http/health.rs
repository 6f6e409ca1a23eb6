//! What operators ask: does the process run, can it do its work, what has it done.

use actix_web::{HttpResponse, get, http::StatusCode, http::header::CONTENT_TYPE, web::Data};
use async_trait::async_trait;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Api, nodes::node_id, openapi::NotReadyAnswer, problem::Problem};
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

/// That the server can do its work.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Ready {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// This process among those that serve the database.
    node: ReadyNode,
}

/// A node as it sees itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReadyNode {
    /// Made anew with every start.
    #[schema(
        pattern = "^node_[0-9a-f]{32}$",
        example = "node_0190a1b2c3d47e5f8a9b0c1d2e3f4a5b"
    )]
    id: String,
    /// How many partitions of tenants it sends for, of 256.
    partitions: usize,
    /// How long the delivery that waits longest here has been due, in milliseconds.
    lag_ms: u64,
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
    responses((status = 200, description = "It can.", body = Ready), NotReadyAnswer)
)]
#[get("/readyz")]
async fn readyz(api: Data<Api>) -> Result<HttpResponse, Problem> {
    match api.health.check().await {
        Ok(()) => Ok(HttpResponse::Ok().json(Ready {
            status: "ok",
            node: ReadyNode {
                id: node_id(api.nodes.id()),
                partitions: api.nodes.partitions(),
                lag_ms: u64::try_from(api.nodes.lag().await.as_millis()).unwrap_or(u64::MAX),
            },
        })),
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
    api.nodes.measure().await;
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, metrics::MEDIA_TYPE))
        .body(api.metrics.encode())
}
