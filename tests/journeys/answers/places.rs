//! Where no HTTP receiver answers.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::AbortHandle,
};

use crate::support::Receiver;

/// A place that a webhook's URL names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// A port that is taken, and on which nobody listens.
    Closed,
    /// A port that takes no connection and refuses none, as if nothing came through.
    Silent,
    /// A name that is in no DNS (RFC 6761, section 6.4).
    Unknown,
    /// The receiver, which speaks plain HTTP, spoken to in TLS.
    NoTls,
    /// A port where each connection is closed at once, spoken to in TLS.
    HangsUp,
    /// A receiver whose certificate nobody has signed.
    SelfSigned,
    /// The receiver by its address.
    Receiver,
    /// The receiver by its name.
    ReceiverByName,
}

/// What is behind the places; it goes with the test.
pub(super) struct Places {
    closed: TcpSocket,
    silent: Silent,
    hangs_up: (SocketAddr, AbortHandle),
    self_signed: SocketAddr,
}

impl Places {
    pub(super) async fn open() -> Self {
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self {
            closed,
            silent: Silent::open().await,
            hangs_up: hang_up().await,
            self_signed: self_signed(),
        }
    }

    pub(super) fn url(&self, place: Place, receiver: &Receiver) -> String {
        let plain = receiver.url("/refused");
        match place {
            Place::Closed => format!("http://{}/", self.closed.local_addr().unwrap()),
            Place::Silent => format!("http://{}/", self.silent.listener.local_addr().unwrap()),
            Place::Unknown => "http://nowhere.invalid/".to_owned(),
            Place::NoTls => plain.replace("http:", "https:"),
            Place::HangsUp => format!("https://{}/", self.hangs_up.0),
            Place::SelfSigned => format!("https://{}/", self.self_signed),
            Place::Receiver => plain,
            Place::ReceiverByName => plain.replace("127.0.0.1", "localhost"),
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.hangs_up.1.abort();
    }
}

/// As many connections wait to be accepted as the system lets wait, so it passes over all others.
struct Silent {
    listener: tokio::net::TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Silent {
    async fn open() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        let connect =
            || tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address));
        while let Ok(connected) = connect().await {
            waiting.push(connected.unwrap());
        }
        Self {
            listener,
            _waiting: waiting,
        }
    }
}

async fn hang_up() -> (SocketAddr, AbortHandle) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let work = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    (address, work.abort_handle())
}

/// Answers 200 to everyone who trusts it. Its thread waits for connections until the tests end.
fn self_signed() -> SocketAddr {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = Arc::new(server_config(made.cert.der().clone(), key));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            // Whoever does not trust it hangs up, which is an error here.
            drop(answer(config.clone(), socket));
        }
    });
    address
}

fn server_config(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

fn answer(config: Arc<ServerConfig>, mut socket: std::net::TcpStream) -> io::Result<()> {
    let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    if stream.read(&mut [0; 4096])? > 0 {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
    }
    Ok(())
}
