//! What a receiver answers, well or badly.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use super::Request;

/// How often a drip falls.
const DRIP: Duration = Duration::from_secs(1);

/// What to answer to one request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A whole answer.
    Whole(u16, Vec<(String, String)>, Vec<u8>),
    /// An answer once the gate is open.
    Behind(Gate, Box<Self>),
    /// An answer after this time.
    After(Duration, Box<Self>),
    /// Nothing, for ever.
    Hang,
    /// A head and a body, one byte a second.
    Drip,
    /// A head with this status at once, then its body, one byte a second.
    DripBody(u16),
    /// A head with this status and a body that never ends and comes as fast as it is read.
    Endless(u16),
    /// A head with this status and the start of a body whose rest never comes.
    Unfinished(u16),
    /// The connection is reset.
    Reset,
    /// The connection is closed.
    Close,
    /// Something that is no HTTP.
    Garbage,
    /// These bytes; then the connection is closed.
    Raw(String),
}

/// Holds answers back until it is opened.
#[derive(Debug, Clone)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed one.
    pub(crate) fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets everything through from now on.
    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }
}

/// Fails so many requests of each delivery with 500, then answers 200.
pub(crate) fn fail_first(count: usize) -> impl Fn(&Request) -> Reply + Send + Sync {
    move |request| {
        if request.nth_of_delivery <= count {
            Reply::status(500)
        } else {
            Reply::ok()
        }
    }
}

impl Reply {
    /// 200; the body is the request's number, so that a log row shows which request it is about.
    pub(crate) fn ok() -> Self {
        Self::status(200)
    }

    /// The same with another status.
    pub(crate) fn status(status: u16) -> Self {
        Self::Whole(status, Vec::new(), Vec::new())
    }

    /// A whole answer with a body.
    pub(crate) fn body(status: u16, body: &[u8]) -> Self {
        Self::Whole(status, Vec::new(), body.to_vec())
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Whole(_, headers, _) = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Holds it back until the gate is open.
    pub(crate) fn behind(self, gate: &Gate) -> Self {
        Self::Behind(gate.clone(), Box::new(self))
    }

    /// Takes this long to answer.
    pub(crate) fn after(self, pause: Duration) -> Self {
        Self::After(pause, Box::new(self))
    }

    /// Writes it; gives whether the connection can go on.
    pub(super) async fn write(self, stream: &mut TcpStream, request: &Request) -> io::Result<bool> {
        match self {
            Self::Whole(status, headers, body) => {
                let body = if body.is_empty() {
                    request.number.to_string().into_bytes()
                } else {
                    body
                };
                stream.write_all(&whole(status, &headers, &body)).await?;
                return Ok(true);
            }
            Self::Behind(gate, reply) => {
                let mut is_open = gate.0.subscribe();
                drop(is_open.wait_for(|is_open| *is_open).await);
                return Box::pin(reply.write(stream, request)).await;
            }
            Self::After(pause, reply) => {
                tokio::time::sleep(pause).await;
                return Box::pin(reply.write(stream, request)).await;
            }
            Self::Hang => wait_for_end(stream).await,
            Self::Drip => drip(stream, &whole(200, &[], b"ok")).await?,
            Self::DripBody(status) => {
                stream.write_all(head(status, 1000).as_bytes()).await?;
                drip(stream, &[b'x'; 1000]).await?;
            }
            Self::Endless(status) => {
                let head = format!("HTTP/1.1 {status} Status\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                loop {
                    stream.write_all(&[b'x'; 16 * 1024]).await?;
                }
            }
            Self::Unfinished(status) => {
                stream.write_all(head(status, 1000).as_bytes()).await?;
                stream.write_all(b"begun").await?;
                wait_for_end(stream).await;
            }
            Self::Reset => stream.set_zero_linger()?,
            Self::Close => {}
            Self::Garbage => {
                stream
                    .write_all(b"220 mail.example.com ESMTP\r\n\r\n")
                    .await?
            }
            Self::Raw(bytes) => stream.write_all(bytes.as_bytes()).await?,
        }
        Ok(false)
    }
}

fn head(status: u16, length: usize) -> String {
    format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n")
}

fn whole(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} Status\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if status != 204 {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    if status != 204 {
        bytes.extend_from_slice(body);
    }
    bytes
}

async fn drip(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(DRIP).await;
    }
    Ok(())
}

/// Waits until the other side gives up.
async fn wait_for_end(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
}
