//! Views made anew from the events.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, http::StatusCode, http::header::CONTENT_TYPE, post, web::Bytes};
use futures_util::{Stream, StreamExt, stream};
use hookledger_projections::View;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    call::Call,
    fields::{self, Body, Errors, Fields},
    openapi::{Commanded, Denied, OfPlatform, WithBody},
    problem::Problem,
};
use crate::store::{Error, Rebuild, RebuildProgress, RebuiltView};

/// How often it is told how far it has come, at most.
const TELL: Duration = Duration::from_millis(200);
/// How often, at least.
const TELL_AGAIN: Duration = Duration::from_secs(5);

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(rebuild_views);
}

/// Which views are to be rebuilt.
#[derive(Debug, ToSchema)]
#[schema(as = RebuildOrder)]
#[serde(deny_unknown_fields)]
struct Order {
    /// The views; left out, all of them.
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 8, example = json!(["deliveries"]))]
    views: Vec<View>,
    /// Only compare them, and change nothing.
    #[schema(value_type = Option<bool>)]
    check: bool,
}

impl Body for Order {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let views = fields.optional("views", views);
        let check = fields.optional("check", fields::boolean);
        Some(Self {
            views: views.unwrap_or_else(|| View::ALL.to_vec()),
            check: check.unwrap_or(false),
        })
    }
}

fn views(field: &str, value: &RawValue, errors: &mut Errors) -> Option<Vec<View>> {
    let names = fields::texts::<{ View::ALL.len() }>(field, value, errors)?;
    if names.is_empty() {
        errors.push(field, "out_of_range", "must name at least one view");
        return None;
    }
    let mut views = Vec::with_capacity(names.len());
    for name in names {
        match name.parse() {
            Ok(view) if views.contains(&view) => {}
            Ok(view) => views.push(view),
            Err(error) => {
                let error: hookledger_projections::UnknownView = error;
                errors.push(field, "unknown_view", error.to_string());
                return None;
            }
        }
    }
    Some(views)
}

/// A line of the answer: how far it has come, or, as the last one, what was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RebuildLine)]
#[serde(untagged)]
enum Line {
    /// How far it has come.
    Progress {
        /// `build`: rows are made of events, and positions are counted; `compare`: rows are compared.
        #[schema(pattern = "^(build|compare)$")]
        stage: &'static str,
        /// How much of it is done.
        done: u64,
        /// How much there is to do.
        total: u64,
    },
    /// What was found.
    Done {
        /// Each view that was rebuilt.
        views: Vec<RebuiltViewShown>,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// It failed; everything is as it was.
    Failed {
        /// Why.
        #[schema(value_type = Object)]
        error: Failure,
    },
}

#[derive(Debug, Serialize)]
struct Failure {
    code: &'static str,
    detail: String,
}

/// What was found of a view.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RebuiltView)]
struct RebuiltViewShown {
    /// Which one.
    #[schema(example = "deliveries")]
    view: &'static str,
    /// How many rows it has, as the events tell.
    rows: u64,
    /// Stands for these rows.
    checksum: String,
    /// The same of the rows that were there.
    found_checksum: String,
    /// Rows that were not there.
    missing: u64,
    /// Rows that were there and should not have been.
    surplus: u64,
    /// Rows that were other ones than they should have been.
    changed: u64,
}

impl From<RebuiltView> for RebuiltViewShown {
    fn from(found: RebuiltView) -> Self {
        Self {
            view: found.view.as_str(),
            rows: found.rows,
            checksum: found.checksum,
            found_checksum: found.found_checksum,
            missing: found.missing,
            surplus: found.surplus,
            changed: found.changed,
        }
    }
}

impl From<RebuildProgress> for Line {
    fn from(progress: RebuildProgress) -> Self {
        Self::Progress {
            stage: progress.stage.as_str(),
            done: progress.done,
            total: progress.total,
        }
    }
}

/// Rebuild the views
///
/// Makes the rows of the views anew from the events, beside those that are there and while everything goes
/// on, compares them row by row, and puts right what differs, all in one transaction; with `check` it only
/// compares. Answers with a JSON object a line: how far it has come, and at last what was found, or why it
/// failed. It is given up when the client goes away before that; everything is as it was then.
#[utoipa::path(
    tag = "Platform",
    request_body = Option<Order>,
    responses(
        Denied, OfPlatform, WithBody, Commanded,
        (status = 200, description = "It has begun.", body = Line, content_type = "application/x-ndjson"),
    )
)]
#[post("/api/platform/rebuild")]
async fn rebuild_views(mut call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    call.no_query()?;
    let order: Order = call.optional_body().await?;
    let mut lines = Box::pin(lines(call.api().rebuild.clone(), order));
    // Whether it can begin shows in the first line.
    let first = match lines.next().await {
        Some(Err(Error::Busy)) => return Err(running()),
        Some(Err(error)) => return Err(error.into()),
        Some(Ok(line)) => Some(line),
        None => None,
    };
    let all = stream::iter(first).chain(lines.map(|line| match line {
        Ok(line) => line,
        Err(error) => Line::Failed {
            error: Failure {
                code: "rebuild_failed",
                detail: error.to_string(),
            },
        },
    }));
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/x-ndjson"))
        .streaming(all.map(|line| encode(&line))))
}

fn running() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "rebuild_running",
        "views are being rebuilt already; wait until that is over",
    )
}

fn encode(line: &Line) -> Result<Bytes, serde_json::Error> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text.into())
}

/// A rebuild under way.
struct Running {
    work: Pin<Box<dyn Future<Output = Result<Vec<RebuiltView>, Error>>>>,
    progress: watch::Receiver<Option<RebuildProgress>>,
    started: Instant,
}

/// What a rebuild tells, one line after the other. It is given up with them.
fn lines(rebuild: Rebuild, order: Order) -> impl Stream<Item = Result<Line, Error>> {
    let (tell, progress) = watch::channel(None);
    let listener = Arc::new(move |progress| {
        tell.send_replace(Some(progress));
    });
    let work = async move { rebuild.run(&order.views, order.check, listener).await };
    let running = Running {
        work: Box::pin(work),
        progress,
        started: Instant::now(),
    };
    stream::unfold(Some(running), |running| async move {
        let mut running = running?;
        let ended = tokio::select! {
            ended = &mut running.work => Some(ended),
            () = next_line(&mut running.progress) => None,
        };
        let Some(ended) = ended else {
            let progress = *running.progress.borrow_and_update();
            return Some((Ok(progress?.into()), Some(running)));
        };
        let duration = running.started.elapsed().as_millis();
        let line = ended.map(|views| Line::Done {
            views: views.into_iter().map(RebuiltViewShown::from).collect(),
            duration_ms: u64::try_from(duration).unwrap_or(u64::MAX),
        });
        Some((line, None))
    })
}

/// Returns when there is something to tell: something new, but not too soon, or the last once more, so that
/// nobody on the way takes the silence for an end.
async fn next_line(progress: &mut watch::Receiver<Option<RebuildProgress>>) {
    tokio::time::sleep(TELL).await;
    loop {
        match tokio::time::timeout(TELL_AGAIN, progress.changed()).await {
            Ok(Ok(())) => return,
            // The end is told by whoever works.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) if progress.borrow().is_some() => return,
            Err(_) => {}
        }
    }
}
