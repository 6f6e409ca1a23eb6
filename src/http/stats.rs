//! Statistics: what a webhook's receiver did with its attempts.

use actix_web::{HttpResponse, get, http::StatusCode};
use hookledger_domain::{clock::rfc3339, duration, ids::WebhookId, permission::Permission};
use hookledger_projections::stats::{Asked, BUCKET_SECONDS_MAX, Bucket, Grid, InvalidGrid};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    call::Call,
    openapi::{ActingFor, Between, BucketLength, Counting, Denied, OfTenant, Time, WebhookPath},
    problem::Problem,
    query::Query,
};
use crate::store::ATTEMPTS_MAX;

const PARAMETERS: [&str; 3] = ["from", "to", "bucket"];

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(webhook_stats);
}

/// What became of a webhook's attempts, over time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookStats)]
#[serde(deny_unknown_fields)]
struct StatsView {
    /// The first moment that is counted.
    #[schema(value_type = Time)]
    from: String,
    /// The first moment that is not counted any more.
    #[schema(value_type = Time)]
    to: String,
    /// How long a bucket is; the last one may be shorter.
    #[schema(minimum = 1, maximum = 86400, example = 3600)]
    bucket_seconds: u32,
    /// Whether deliveries go out now: `closed`: all do; `open`: the last attempts found nobody who
    /// answered, and all wait; `half_open`: one at a time tries whether somebody is back.
    #[schema(pattern = "^(closed|open|half_open)$", example = "closed")]
    circuit: &'static str,
    /// All buckets, the empty ones too, oldest first.
    #[schema(min_items = 1, max_items = 1440)]
    buckets: Vec<BucketView>,
}

/// The attempts that started within a stretch of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatsBucket)]
#[serde(deny_unknown_fields)]
struct BucketView {
    /// Its first moment.
    #[schema(value_type = Time)]
    start: String,
    /// How many started in it and have ended.
    attempts: u64,
    /// Those that the receiver took.
    succeeded: u64,
    /// Those that failed.
    failed: u64,
    /// Half of them took no longer, to the nearest rank; `null` if there were none.
    #[schema(required = true)]
    duration_p50_ms: Option<u64>,
    /// 95 of 100 of them took no longer, to the nearest rank; `null` if there were none.
    #[schema(required = true)]
    duration_p95_ms: Option<u64>,
}

impl From<Bucket> for BucketView {
    fn from(bucket: Bucket) -> Self {
        Self {
            start: rfc3339(bucket.start),
            attempts: bucket.attempts,
            succeeded: bucket.succeeded,
            failed: bucket.failed,
            duration_p50_ms: bucket.duration_p50_ms,
            duration_p95_ms: bucket.duration_p95_ms,
        }
    }
}

/// A webhook's statistics
///
/// How many attempts started in each bucket of time, what came of them and how long they took; also
/// of a deleted webhook. Left out, `from` and `to` are the last 24 hours, and `bucket` is an hour.
#[utoipa::path(
    tag = "Webhooks",
    params(ActingFor, WebhookPath, Between, BucketLength),
    responses(
        Denied, OfTenant, Counting,
        (status = 200, description = "The statistics.", body = StatsView),
    )
)]
#[get("/api/admin/webhooks/{id}/stats")]
async fn webhook_stats(call: Call) -> Result<HttpResponse, Problem> {
    let caller = call.caller(Permission::DeliveriesRead).await?;
    let id: WebhookId = call.id("webhook")?;
    let api = call.api();
    let now = api.clock.now();
    let asked = asked(&call.query(&[&PARAMETERS])?)?;
    let grid = Grid::choose(asked, now).map_err(invalid)?;
    let webhook = api.views.webhook(&caller.tenant, id).await?;
    let webhook = webhook.ok_or_else(|| Problem::not_found("webhook"))?;
    let counted = api.views.stats(&caller.tenant, id, grid).await?;
    let buckets = counted.ok_or_else(too_many)?;
    let circuit = api.views.circuit(&webhook).await?;
    Ok(HttpResponse::Ok().json(StatsView {
        from: rfc3339(grid.from()),
        to: rfc3339(grid.to()),
        bucket_seconds: grid.bucket_seconds(),
        circuit: circuit.state(now).as_str(),
        buckets: buckets.into_iter().map(BucketView::from).collect(),
    }))
}

fn asked(query: &Query<'_>) -> Result<Asked, Problem> {
    let expected = format!(
        "must be a whole number of seconds from 1 to {BUCKET_SECONDS_MAX}, also as 30s, 5m, 1h or 1d"
    );
    let span = query.span()?;
    Ok(Asked {
        from: span.from,
        to: span.to,
        bucket_seconds: query.read("bucket", &expected, seconds)?,
    })
}

/// A length in whole seconds: a number, or a duration as settings spell it.
fn seconds(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if is_number {
        text.parse().ok()?
    } else {
        let length = duration::parse(text).ok()?;
        let is_whole = length.subsec_nanos() == 0;
        u32::try_from(length.as_secs()).ok().filter(|_| is_whole)?
    };
    (1..=BUCKET_SECONDS_MAX)
        .contains(&seconds)
        .then_some(seconds)
}

fn invalid(error: InvalidGrid) -> Problem {
    let name = match error {
        InvalidGrid::Empty => "from",
        InvalidGrid::Bucket | InvalidGrid::TooMany => "bucket",
    };
    Problem::parameter(name, &format!("does not fit: {error}"))
}

fn too_many() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "too_many_attempts",
        format!(
            "more than {ATTEMPTS_MAX} attempts started between from and to; ask for a shorter time"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_a_number_of_seconds_or_a_duration() {
        for (text, expected) in [
            ("1", 1),
            ("90", 90),
            ("86400", 86_400),
            ("1s", 1),
            ("2000ms", 2),
            ("5m", 300),
            ("1h", 3600),
            ("24h", 86_400),
            ("1d", 86_400),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_a_bucket_is_refused() {
        for text in [
            "",
            "0",
            "-1",
            "+1",
            "1.5",
            "1e3",
            "0x10",
            " 1",
            "1 h",
            "h",
            "0s",
            "500ms",
            "1500ms",
            "86401",
            "2d",
            "25h",
            "1w",
            "1h30m",
            "99999999999",
            "99999999999999999999d",
        ] {
            assert_eq!(seconds(text), None, "{text}");
            let given = format!("bucket={}", text.replace('+', "%2B"));
            let problem = asked(&Query::parse(&given, &[&PARAMETERS]).unwrap()).unwrap_err();
            assert_eq!(
                (problem.status.as_u16(), problem.code),
                (400, "invalid_parameter"),
                "{text}"
            );
        }
    }
}
