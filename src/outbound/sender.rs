//! One HTTP try, from a request to its outcome.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookledger_domain::delivery::attempt::{Failure, FailureCode, Outcome};
use hookledger_domain::target::{self, Policy, Refusal};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Client, Method, redirect, retry};
use tokio::time::Instant;

use super::guard::{self, Guard};
use super::peer::JudgePeer;
use super::received::Received;
use super::{Error, failure, tls};

/// Unused connections to one origin are closed after this.
const POOL_IDLE_TIME_MAX: Duration = Duration::from_secs(30);
/// Unused connections that are kept for one origin; a webhook has 64 tries at once at most.
const POOL_IDLE_PER_ORIGIN_MAX: usize = 64;

/// What a [`Sender`] needs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which targets may be reached.
    pub policy: Arc<Policy>,
    /// The value of `User-Agent`: `Hookledger/<version>`.
    pub user_agent: String,
    /// For a whole try: DNS, connect, TLS, the answer's head and body.
    pub timeout: Duration,
}

/// One POST to a tenant's URL. It has no `Debug`: URL and headers may hold secrets.
#[derive(Clone)]
pub struct Request {
    /// The webhook's URL, as it is configured.
    pub url: String,
    /// See [`Envelope`](super::Envelope). `Content-Type` and `User-Agent` are set by the sender.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The exact bytes that were signed.
    pub body: Bytes,
    /// The webhook's own limit; it can only shorten [`Options::timeout`].
    pub timeout: Option<Duration>,
}

/// Makes tries. Cheap to clone; all clones share one pool of connections.
#[derive(Clone)]
pub struct Sender {
    client: Client,
    guard: Guard,
    user_agent: HeaderValue,
    timeout: Duration,
}

impl Sender {
    /// Builds the client. Reads the system's CA certificates, which takes some milliseconds.
    ///
    /// # Errors
    /// See [`Error`]. Missing CA certificates are no error: the built-in roots stand in.
    pub fn new(options: Options) -> Result<Self, Error> {
        let guard = Guard::new(options.policy);
        Self::with_parts(
            guard,
            tls::client_config()?,
            options.user_agent,
            options.timeout,
        )
    }

    pub(super) fn with_parts(
        guard: Guard,
        tls: rustls::ClientConfig,
        user_agent: String,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let client = build_client(&guard, tls, timeout)?;
        let user_agent =
            HeaderValue::try_from(&user_agent).map_err(|_| Error::UserAgent { user_agent })?;
        Ok(Self {
            client,
            guard,
            user_agent,
            timeout,
        })
    }

    /// The guard that this sender goes by, to check URLs before they are configured.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Makes one try and says what it gave, at the latest when its time is over.
    ///
    /// Never an error: all that can go wrong is in the [`Outcome`]. A 2xx is a success also when
    /// its body does not end. Dropping the future ends the try.
    pub async fn send(&self, request: Request) -> Outcome {
        let started = Instant::now();
        let timeout = request
            .timeout
            .map_or(self.timeout, |own| own.min(self.timeout));
        let mut received = None;
        let ended = match self.prepare(request) {
            Err(refusal) => Err(failure::refused(&refusal)),
            Ok((request, port)) => {
                let exchange = self.exchange(request, &mut received);
                match tokio::time::timeout(timeout, guard::with_port(port, exchange)).await {
                    Ok(ended) => ended.map_err(|error| failure::explain(&error)),
                    Err(_) => Err(failure::timed_out(timeout)),
                }
            }
        };
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        outcome(duration_ms, received, ended)
    }

    /// Checks the URL anew, because the rules may have changed since it was configured, and puts
    /// the request together. Gives the port beside it, for the guard.
    fn prepare(&self, request: Request) -> Result<(reqwest::Request, u16), Refusal> {
        let url = target::check(&request.url, self.guard.policy())?;
        let port = url.port_or_known_default().unwrap_or_default();
        let mut prepared = reqwest::Request::new(Method::POST, url);
        let headers = prepared.headers_mut();
        headers.reserve(request.headers.len() + 2);
        for (name, value) in request.headers {
            headers.append(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, self.user_agent.clone());
        *prepared.body_mut() = Some(request.body.into());
        Ok((prepared, port))
    }

    /// Sends and reads. What arrives goes to `received` at once, so that it is there whenever
    /// this future is dropped. An answer that is not read to its end closes its connection.
    async fn exchange(
        &self,
        request: reqwest::Request,
        received: &mut Option<Received>,
    ) -> Result<(), reqwest::Error> {
        let mut response = self.client.execute(request).await?;
        let received = received.insert(Received::new(response.status(), response.headers()));
        while let Some(chunk) = response.chunk().await? {
            if !received.push(&chunk) {
                return Ok(());
            }
        }
        received.finish();
        Ok(())
    }
}

/// The answer's head decides, whatever became of its body.
fn outcome(duration_ms: u64, received: Option<Received>, ended: Result<(), Failure>) -> Outcome {
    let failure = match &received {
        None => ended.err(),
        Some(received) if received.status().is_success() => None,
        Some(received) => Some(failure::bad_status(received.status())),
    };
    // Without an answer a try has failed; `ended` cannot be `Ok` then, but a success would be
    // the wrong thing to conclude.
    let failure = failure.or_else(|| {
        received.is_none().then(|| Failure {
            code: FailureCode::ConnectionClosed,
            message: "the exchange ended without an answer".to_owned(),
        })
    });
    Outcome {
        duration_ms,
        response: received.map(Received::into_response),
        failure,
    }
}

fn build_client(
    guard: &Guard,
    tls: rustls::ClientConfig,
    timeout: Duration,
) -> Result<Client, Error> {
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(guard.clone())
        .connector_layer(JudgePeer(guard.clone()))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        // `http_proxy` in the environment would go around every check.
        .no_proxy()
        .http1_only()
        .referer(false)
        // The whole try has its deadline in `send`. This one ends connections that are still
        // being made when their request has found another one in the pool.
        .connect_timeout(timeout)
        .pool_idle_timeout(POOL_IDLE_TIME_MAX)
        .pool_max_idle_per_host(POOL_IDLE_PER_ORIGIN_MAX)
        .build()?;
    Ok(client)
}
