//! The HTTP API as commands use it.

use std::{fmt, net::IpAddr, time::Duration};

use reqwest::{Method, StatusCode, redirect};
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Host, Url};

mod lines;

use super::output::printable;
use crate::settings::SecretText;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may take to say that it is there.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The most rows of a list that are fetched; a list that goes on is an error, not cut silently.
const ROWS_MAX: usize = 10_000;

/// A server and the token to show it.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: SecretText,
    tenant: Option<String>,
}

/// Why the server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("--server: expected an http:// or https:// URL without user name, query and fragment")]
    BadAddress,
    /// No client can be made, for example since the system has no CA certificates.
    #[error("HTTP cannot be used")]
    Setup(#[source] reqwest::Error),
    /// No answer.
    #[error("{server} cannot be reached")]
    Unreachable {
        /// Scheme, host and port.
        server: String,
        /// What failed, without the URL.
        source: reqwest::Error,
    },
    /// A refusal.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// An answer that is not this API's.
    #[error("{server} answered {status} with something else than expected")]
    Unexpected {
        /// Scheme, host and port.
        server: String,
        /// The answer's status.
        status: StatusCode,
    },
    /// An answer or a list over the limit.
    #[error("{server} answered with more than {limit}")]
    TooMuch {
        /// Scheme, host and port.
        server: String,
        /// The limit.
        limit: &'static str,
    },
    /// An answer broke off.
    #[error("{server} broke its answer off")]
    Cut {
        /// Scheme, host and port.
        server: String,
    },
}

/// A refusal as the API says it (RFC 9457).
#[derive(Debug, Default, Deserialize, thiserror::Error)]
#[serde(default)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    title: String,
    detail: String,
    code: String,
    errors: Vec<FieldProblem>,
}

/// What is wrong with one field.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldProblem {
    field: String,
    code: String,
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            title,
            detail,
            code,
            errors,
        } = self;
        write!(f, "{} ({status} {})", printable(title), printable(code))?;
        if !detail.is_empty() {
            write!(f, ": {}", printable(detail))?;
        }
        for FieldProblem {
            field,
            code,
            message,
        } in errors
        {
            let (field, message) = (printable(field), printable(message));
            write!(f, "\n  {field}: {message} ({})", printable(code))?;
        }
        Ok(())
    }
}

impl Problem {
    /// Whether it has this code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code == code
    }
}

impl Client {
    /// A client of the server at `base`, which may have a path that stands before the API's.
    pub(super) fn new(base: &str, token: SecretText) -> Result<Self, Error> {
        let base = parse_base(base)?;
        let http = build_http(&base).map_err(Error::Setup)?;
        Ok(Self {
            http,
            base,
            token,
            tenant: None,
        })
    }

    /// The same, acting for a tenant.
    pub(super) fn for_tenant(self, tenant: String) -> Self {
        Self {
            tenant: Some(tenant),
            ..self
        }
    }

    /// Whether a Hookledger answers there, to tell it from another program on the same port. Does
    /// not show it the token.
    pub(super) async fn is_answered(&self) -> bool {
        let url = self.url(&["healthz"], &[]);
        let Ok(answer) = self.http.get(url).timeout(PROBE_TIMEOUT).send().await else {
            return false;
        };
        let is_ok = answer.status() == StatusCode::OK;
        let body = self.read(answer).await.unwrap_or_default();
        is_ok
            && serde_json::from_slice::<Value>(&body)
                .is_ok_and(|body| body == json!({"status": "ok"}))
    }

    pub(super) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Error> {
        self.send(Method::GET, self.url(path, query), None).await
    }

    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Error> {
        self.send(Method::POST, self.url(path, &[]), Some(body))
            .await
    }

    /// A GET whose answer may take longer than others.
    pub(super) async fn get_within(
        &self,
        timeout: Duration,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Value, Error> {
        let patient = self.http.get(self.url(path, query)).timeout(timeout);
        self.answer(patient).await
    }

    /// A POST without a body.
    pub(super) async fn post_empty(&self, path: &[&str]) -> Result<Value, Error> {
        self.post_within(TIMEOUT, path).await
    }

    /// Hands an answer on as it comes, until it ends or `write` says that it is enough.
    pub(super) async fn download(
        &self,
        timeout: Duration,
        path: &[&str],
        query: &[(&str, &str)],
        write: &mut impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Error> {
        let request = self.http.get(self.url(path, query)).timeout(timeout);
        let mut answer = self.ask(request).await?;
        if !answer.status().is_success() {
            let status = answer.status();
            return Err(self.refusal(status, &self.read(answer).await?));
        }
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(error))?
        {
            if !write(&chunk) {
                break;
            }
        }
        Ok(())
    }

    /// A POST without a body, whose answer may take longer than others.
    pub(super) async fn post_within(
        &self,
        timeout: Duration,
        path: &[&str],
    ) -> Result<Value, Error> {
        let patient = self.http.post(self.url(path, &[])).timeout(timeout);
        self.answer(patient).await
    }

    pub(super) async fn patch(&self, path: &[&str], body: &Value) -> Result<Value, Error> {
        self.send(Method::PATCH, self.url(path, &[]), Some(body))
            .await
    }

    pub(super) async fn delete(&self, path: &[&str]) -> Result<Value, Error> {
        self.send(Method::DELETE, self.url(path, &[]), None).await
    }

    /// All rows of a list, page by page.
    pub(super) async fn list(&self, path: &[&str]) -> Result<Vec<Value>, Error> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        while rows.len() < ROWS_MAX {
            let mut query = vec![("limit", "200")];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: Page = serde_json::from_value(self.get(path, &query).await?)
                .map_err(|_| self.unexpected(StatusCode::OK))?;
            rows.extend(page.data);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(rows);
            }
        }
        Err(self.too_much("10000 rows"))
    }

    async fn send(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Value, Error> {
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answer(request).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Value, Error> {
        let answer = self.ask(request).await?;
        let status = answer.status();
        let bytes = self.read(answer).await?;
        if !status.is_success() {
            return Err(self.refusal(status, &bytes));
        }
        match bytes.as_slice() {
            [] => Ok(Value::Null),
            bytes => serde_json::from_slice(bytes).map_err(|_| self.unexpected(status)),
        }
    }

    /// Asks, with the token.
    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Error> {
        let mut request = request.bearer_auth(self.token.expose());
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Tenant-Id", tenant);
        }
        request
            .send()
            .await
            .map_err(|error| self.unreachable(error))
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> Error {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) if !problem.title.is_empty() => Error::Problem(Problem {
                status: status.as_u16(),
                ..problem
            }),
            _ => self.unexpected(status),
        }
    }

    async fn read(&self, mut answer: reqwest::Response) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(error))?
        {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(self.too_much("16 MiB"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Segments and values are encoded, so that an id cannot lead to another path.
    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn server(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::Unreachable {
            server: self.server(),
            source: error.without_url(),
        }
    }

    pub(super) fn unexpected(&self, status: StatusCode) -> Error {
        Error::Unexpected {
            server: self.server(),
            status,
        }
    }

    fn too_much(&self, limit: &'static str) -> Error {
        Error::TooMuch {
            server: self.server(),
            limit,
        }
    }
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Value>,
    next_cursor: Option<String>,
}

fn parse_base(text: &str) -> Result<Url, Error> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .filter(|url| url.username().is_empty() && url.password().is_none())
        .filter(|url| url.query().is_none() && url.fragment().is_none())
        .ok_or(Error::BadAddress)
}

/// Redirects are not followed, since the token would go along.
fn build_http(base: &Url) -> Result<reqwest::Client, reqwest::Error> {
    // Fails only where a provider is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none());
    if base.scheme() == "http" {
        // Without this a system without CA certificates could not even use plain HTTP.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    builder.build()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str) -> Client {
        Client::new(base, SecretText::from("hunter2")).unwrap()
    }

    #[test]
    fn an_id_cannot_lead_to_another_path() {
        let client = client("http://127.0.0.1:1/hooks/");
        let url = client.url(&["api", "../../x?y#z"], &[("cursor", "a&b")]);
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:1/hooks/api/..%2F..%2Fx%3Fy%23z?cursor=a%26b"
        );
        assert!(!format!("{client:?}").contains("hunter2"));
    }

    #[test]
    fn only_plain_http_addresses_are_accepted() {
        for address in [
            "",
            "x",
            "ftp://x/",
            "http://u@x/",
            "http://x/?q",
            "http://x/#f",
        ] {
            let refused = Client::new(address, SecretText::from("x"));
            assert!(matches!(refused, Err(Error::BadAddress)), "{address}");
        }
    }

    #[test]
    fn a_problem_shows_title_code_detail_and_fields() {
        let problem: Problem = serde_json::from_str(
            r#"{"type":"about:blank","title":"Invalid content","status":422,"detail":"see errors",
                "code":"invalid_content","errors":[{"field":"url","code":"invalid_url",
                "message":"no\u001b[2J URL"}]}"#,
        )
        .unwrap();
        assert_eq!(
            problem.to_string(),
            "Invalid content (422 invalid_content): see errors\n  url: no\\u{1b}[2J URL (invalid_url)"
        );
    }
}
