//! A receiver on loopback, spoken to over bare TCP: it records every request to the byte and
//! answers as a test's script says, however badly.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, Utc};
use hookledger_domain::signature::{self, Secret};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

use super::eventually;

mod reply;

pub(crate) use reply::{Gate, Reply, fail_first};

/// No head of a request is longer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What a TLS connection begins with.
const TLS_HANDSHAKE: u8 = 0x16;

/// A receiver. Ends with the test.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: AbortHandle,
}

/// What to answer to a request.
type Script = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Arc<Request>>>,
    scripts: Mutex<HashMap<String, Script>>,
    /// How many have come by path and by delivery.
    counts: Mutex<HashMap<String, usize>>,
}

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Request {
    /// Counted from 1 over all paths, in the order of arrival.
    pub(crate) number: usize,
    /// Counted from 1 at this path.
    pub(crate) nth: usize,
    /// Counted from 1 among those of the same delivery.
    pub(crate) nth_of_delivery: usize,
    pub(crate) at: DateTime<Utc>,
    pub(crate) method: String,
    pub(crate) path: String,
    /// As they stood there, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Receiver {
    /// Starts one that answers 200 to everything.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let listening = tokio::spawn(listen(listener, shared.clone())).abort_handle();
        Self {
            address,
            shared,
            listening,
        }
    }

    /// The URL of a path here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on requests to `path` are answered as `script` says.
    pub(crate) fn on(
        &self,
        path: &str,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) {
        self.shared
            .scripts
            .lock()
            .unwrap()
            .insert(path.to_owned(), Arc::new(script));
    }

    /// All that has arrived.
    pub(crate) fn requests(&self) -> Vec<Arc<Request>> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// What has arrived at a path.
    pub(crate) fn requests_at(&self, path: &str) -> Vec<Arc<Request>> {
        self.requests()
            .into_iter()
            .filter(|request| request.path == path)
            .collect()
    }

    /// Waits until so many requests have arrived at a path.
    pub(crate) async fn arrived(&self, path: &str, count: usize) -> Vec<Arc<Request>> {
        eventually(&format!("{count} requests at {path}"), async || {
            let requests = self.requests_at(path);
            (requests.len() >= count).then_some(requests)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Request {
    /// The one value of a header.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        let (_, value) = values
            .next()
            .unwrap_or_else(|| panic!("no header {name}: {self:?}"));
        assert!(
            values.next().is_none(),
            "{name} stands there twice: {self:?}"
        );
        value
    }

    /// Whether it has a header.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| other == name)
    }

    pub(crate) fn delivery(&self) -> &str {
        self.header("x-webhook-delivery")
    }

    pub(crate) fn message(&self) -> &str {
        self.header("webhook-id")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks both signatures and that the request was signed just now.
    #[track_caller]
    pub(crate) fn verify(&self, secret: &str) {
        let secret = Secret::parse(secret).unwrap();
        let github = self.header("x-webhook-signature");
        signature::verify_github(&secret, &self.body, github).unwrap();
        let (timestamp, standard) = (
            self.header("webhook-timestamp"),
            self.header("webhook-signature"),
        );
        let now = self.at.timestamp();
        signature::verify_standard(
            &secret,
            self.message(),
            timestamp,
            standard,
            &self.body,
            now,
            5,
        )
        .unwrap();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = shared.clone();
        // A connection that breaks is the sender's affair: it is in its log.
        tokio::spawn(async move { drop(serve(stream, &shared).await) });
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await? {
        let request = shared.note(request);
        let script = shared.scripts.lock().unwrap().get(&request.path).cloned();
        let reply = script.map_or_else(Reply::ok, |script| script(&request));
        if !reply.write(&mut stream, &request).await? {
            break;
        }
    }
    Ok(())
}

impl Shared {
    fn note(&self, mut request: Request) -> Arc<Request> {
        let delivery = request
            .headers
            .iter()
            .find(|(name, _)| name == "x-webhook-delivery");
        let delivery = delivery.map(|(_, value)| value.clone()).unwrap_or_default();
        let mut count = self.counts.lock().unwrap();
        let mut next = |what: &str| {
            let count = count.entry(what.to_owned()).or_insert(0);
            *count += 1;
            *count
        };
        request.nth = next(&request.path);
        request.nth_of_delivery = next(&delivery);
        let mut requests = self.requests.lock().unwrap();
        request.number = requests.len() + 1;
        let request = Arc::new(request);
        requests.push(request.clone());
        request
    }
}

/// Reads one request; `None` when the connection has ended before one.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        assert!(buffer.len() < HEAD_BYTES_MAX, "a head without end");
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
        if buffer.first() == Some(&TLS_HANDSHAKE) {
            stream
                .write_all(b"HTTP/1.1 400 No TLS here\r\n\r\n")
                .await?;
            return Ok(None);
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    let body_start = head_end + 4;
    while buffer.len() < body_start + length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let body = buffer[body_start..body_start + length].to_vec();
    buffer.drain(..body_start + length);
    Ok(Some(Request {
        number: 0,
        nth: 0,
        nth_of_delivery: 0,
        at: Utc::now(),
        method: first.next().unwrap().to_owned(),
        path: first.next().unwrap().to_owned(),
        headers,
        body,
    }))
}
