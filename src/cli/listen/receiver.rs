//! A receiver of webhooks as a customer would have one: it checks both signatures of what arrives,
//! answers, and hands each request on.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    http::{StatusCode, header::HeaderMap},
    web,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use hookledger_domain::{
    clock::{Clock, SystemClock},
    signature::{Mismatch, Secret, verify_github, verify_standard},
};
use tokio::sync::mpsc;

/// The longest body that is accepted.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// How old a signature may be, and how far in the future.
const TOLERANCE_S: u64 = 300;
/// Requests that were answered and not yet taken; further ones wait.
const WAITING_MAX: usize = 64;
const CONNECTIONS_MAX: usize = 256;
/// How long requests may go on when the receiver is stopped.
const STOP_S: u64 = 1;

/// What a receiver does.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Where it listens; port 0 lets the system choose.
    pub(crate) listen: SocketAddr,
    /// What it checks signatures with; without it they are not checked.
    pub(crate) secret: Option<Secret>,
    /// The answers before the first good one.
    pub(crate) failures: Failures,
    /// How long it waits before each answer.
    pub(crate) delay: Duration,
}

/// Answers to the first `count` requests, taken from `statuses` in turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failures {
    pub(crate) statuses: &'static [u16],
    pub(crate) count: u64,
}

/// A request that arrived, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) method: String,
    /// Without the query, which may hold a secret.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// `None` if it was over [`BODY_BYTES_MAX`] or did not end.
    pub(crate) body: Option<Bytes>,
    pub(crate) checks: Checks,
    /// The status that it was answered with.
    pub(crate) answered: u16,
}

/// What the two signatures of a request turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checks {
    /// `X-Webhook-Signature`, or `X-Webhook-Signature-Previous` in a rotation's grace.
    pub(crate) github: Verdict,
    /// `webhook-signature`.
    pub(crate) standard: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is no secret to check with.
    NotChecked,
    /// The request has no such signature.
    Missing,
    Valid,
    /// Valid with the secret before the present one.
    ValidAsPrevious,
    Invalid(Mismatch),
}

impl Verdict {
    pub(crate) fn is_valid(self) -> bool {
        matches!(self, Self::Valid | Self::ValidAsPrevious)
    }
}

impl Checks {
    /// A receiver may trust a request with one valid signature and no wrong one.
    fn is_refused(self) -> bool {
        let both = [self.github, self.standard];
        both.iter()
            .any(|verdict| matches!(verdict, Verdict::Invalid(_)))
            || both.iter().all(|verdict| *verdict == Verdict::Missing)
    }
}

/// A receiver that is running.
pub(crate) struct Receiver {
    address: SocketAddr,
    requests: mpsc::Receiver<Received>,
    shared: Arc<Shared>,
    server: ServerHandle,
}

struct Shared {
    secret: RwLock<Option<Secret>>,
    failures: Failures,
    delay: Duration,
    arrived: AtomicU64,
    requests: mpsc::Sender<Received>,
}

impl Receiver {
    /// Starts to listen. To be called within an actix system.
    pub(crate) async fn start(options: Options) -> io::Result<Self> {
        let (sender, requests) = mpsc::channel(WAITING_MAX);
        let shared = Arc::new(Shared {
            secret: RwLock::new(options.secret),
            failures: options.failures,
            delay: options.delay,
            arrived: AtomicU64::new(0),
            requests: sender,
        });
        let data = web::Data::from(Arc::clone(&shared));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .default_service(web::to(receive))
        })
        .workers(1)
        .max_connections(CONNECTIONS_MAX)
        .shutdown_timeout(STOP_S)
        .disable_signals()
        .bind(options.listen)?;
        let address = server.addrs().first().copied().unwrap_or(options.listen);
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Ok(Self {
            address,
            requests,
            shared,
            server: handle,
        })
    }

    /// The URL that webhooks reach it under.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Checks with this secret from now on.
    pub(crate) fn trust(&self, secret: Secret) {
        let mut slot = self
            .shared
            .secret
            .write()
            .unwrap_or_else(|broken| broken.into_inner());
        *slot = Some(secret);
    }

    /// The next request. `None` once it has stopped.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        self.requests.recv().await
    }

    /// Stops listening. Requests that nobody takes any more are let go.
    pub(crate) async fn stop(mut self) {
        self.requests.close();
        self.server.stop(true).await;
    }
}

async fn receive(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> HttpResponse {
    let number = shared.arrived.fetch_add(1, Ordering::Relaxed) + 1;
    let received_at = SystemClock.now();
    let body = match payload.to_bytes_limited(BODY_BYTES_MAX).await {
        Ok(Ok(body)) => Some(body),
        _ => None,
    };
    let checks = shared.check(request.headers(), body.as_deref(), received_at);
    let status = shared.answer(number, body.is_some(), checks);
    let received = Received {
        number,
        received_at,
        method: request.method().to_string(),
        path: request.path().to_owned(),
        headers: texts(request.headers()),
        body,
        checks,
        answered: status.as_u16(),
    };
    tokio::time::sleep(shared.delay).await;
    // Fails when nobody takes requests any more; the answer is due all the same.
    let _ = shared.requests.send(received).await;
    HttpResponse::build(status).finish()
}

impl Shared {
    fn answer(&self, number: u64, is_whole: bool, checks: Checks) -> StatusCode {
        let Failures { statuses, count } = self.failures;
        if !is_whole {
            StatusCode::PAYLOAD_TOO_LARGE
        } else if checks.is_refused() {
            StatusCode::UNAUTHORIZED
        } else if number > count {
            StatusCode::OK
        } else {
            let turn = usize::try_from(number - 1).unwrap_or(usize::MAX);
            let status = statuses.get(turn % statuses.len().max(1));
            status
                .and_then(|status| StatusCode::from_u16(*status).ok())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }

    fn check(&self, headers: &HeaderMap, body: Option<&[u8]>, now: DateTime<Utc>) -> Checks {
        let secret = self
            .secret
            .read()
            .unwrap_or_else(|broken| broken.into_inner());
        match (secret.as_ref(), body) {
            (Some(secret), Some(body)) => Checks {
                github: check_github(secret, headers, body),
                standard: check_standard(secret, headers, body, now),
            },
            _ => Checks {
                github: Verdict::NotChecked,
                standard: Verdict::NotChecked,
            },
        }
    }
}

fn check_github(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Verdict {
    let Some(signature) = text(headers, "x-webhook-signature") else {
        return Verdict::Missing;
    };
    let previous = text(headers, "x-webhook-signature-previous");
    match verify_github(secret, body, signature) {
        Ok(()) => Verdict::Valid,
        Err(_) if previous.is_some_and(|it| verify_github(secret, body, it).is_ok()) => {
            Verdict::ValidAsPrevious
        }
        Err(mismatch) => Verdict::Invalid(mismatch),
    }
}

fn check_standard(
    secret: &Secret,
    headers: &HeaderMap,
    body: &[u8],
    now: DateTime<Utc>,
) -> Verdict {
    let Some(signature) = text(headers, "webhook-signature") else {
        return Verdict::Missing;
    };
    let id = text(headers, "webhook-id").unwrap_or_default();
    let timestamp = text(headers, "webhook-timestamp").unwrap_or_default();
    match verify_standard(
        secret,
        id,
        timestamp,
        signature,
        body,
        now.timestamp(),
        TOLERANCE_S,
    ) {
        Ok(()) => Verdict::Valid,
        Err(mismatch) => Verdict::Invalid(mismatch),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut texts: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    texts.sort();
    texts
}

#[cfg(test)]
mod tests;
