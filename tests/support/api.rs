//! A client of the API that hides nothing: every status, header and byte can be looked at.

use std::{
    net::SocketAddr,
    sync::{Arc, Once, RwLock},
    time::Duration,
};

use reqwest::header::HeaderMap;
use serde_json::Value;

/// No answer may take longer than this.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A client. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    address: Arc<RwLock<SocketAddr>>,
    headers: Vec<(String, String)>,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    request: String,
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Api {
    pub(crate) fn new(address: Arc<RwLock<SocketAddr>>) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .unwrap();
        Self {
            http,
            address,
            headers: Vec::new(),
        }
    }

    /// The same with this bearer token instead of another one.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        self.with_header("Authorization", &format!("Bearer {token}"))
    }

    /// The same acting for a tenant.
    pub(crate) fn for_tenant(&self, tenant: &str) -> Self {
        self.with_header("X-Tenant-Id", tenant)
    }

    /// The same at the server of another client.
    pub(super) fn at(&self, other: &Self) -> Self {
        Self {
            address: other.address.clone(),
            ..self.clone()
        }
    }

    fn with_header(&self, name: &str, value: &str) -> Self {
        let mut api = self.clone();
        api.headers.retain(|(other, _)| other != name);
        api.headers.push((name.to_owned(), value.to_owned()));
        api
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send_json("POST", path, &body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send_json("PATCH", path, &body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send_json("PUT", path, &body.to_string()).await
    }

    /// Sends a text as JSON, whatever it is.
    pub(crate) async fn send_json(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(
            method,
            path,
            &[("Content-Type", "application/json")],
            Some(body.as_bytes()),
        )
        .await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let answer = self.try_send(method, path, headers, body).await;
        answer.unwrap_or_else(|| panic!("{method} {path} was not answered"))
    }

    /// The same where the server may be gone.
    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Option<Answer> {
        let url = format!("http://{}{path}", *self.address.read().unwrap());
        let mut request = self.http.request(method.parse().unwrap(), url);
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.body(body.to_vec());
        }
        let answer = request.send().await.ok()?;
        Some(Answer {
            request: format!("{method} {path}"),
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.bytes().await.ok()?.to_vec(),
        })
    }

    /// Every row of a list, walked in pages of `limit`.
    pub(crate) async fn walk(&self, path: &str, limit: usize) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{separator}limit={limit}");
        let (mut rows, mut next) = (Vec::new(), first.clone());
        loop {
            let page = self.get(&next).await.expect(200);
            let data = page["data"].as_array().unwrap();
            let is_last = page["next_cursor"].is_null();
            assert!(
                data.len() == limit || (is_last && data.len() <= limit),
                "{page}"
            );
            rows.extend(data.iter().cloned());
            if is_last {
                return rows;
            }
            next = format!("{first}&cursor={}", page["next_cursor"].as_str().unwrap());
        }
    }
}

impl Answer {
    /// The body as JSON, if the status is this one; otherwise the test fails.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.request, self.text());
        if self.body.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// The problem in the body, if it is a well-formed one with this status and code.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Value {
        let problem = self.any_problem();
        let found = (self.status, problem["code"].as_str().unwrap());
        assert_eq!(found, (status, code), "{}: {problem}", self.request);
        problem
    }

    /// The problem in the body, which must be one as the contract describes it.
    #[track_caller]
    pub(crate) fn any_problem(&self) -> Value {
        assert!(
            (400..500).contains(&self.status),
            "{}: {} {}",
            self.request,
            self.status,
            self.text()
        );
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.request
        );
        let problem = self.json();
        let mut names: Vec<&str> = problem
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        names.retain(|name| *name != "errors");
        assert_eq!(
            names,
            ["code", "detail", "status", "title", "type"],
            "{}",
            self.request
        );
        assert_eq!(problem["status"], self.status, "{}", self.request);
        let has_errors = problem["errors"]
            .as_array()
            .is_some_and(|errors| !errors.is_empty());
        assert_eq!(
            has_errors,
            self.status == 422,
            "{}: {problem}",
            self.request
        );
        problem
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    fn json(&self) -> Value {
        let read = serde_json::from_slice(&self.body);
        read.unwrap_or_else(|error| panic!("{}: {error}: {}", self.request, self.text()))
    }
}

/// The ids of rows, in their order.
pub(crate) fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}
