//! A way to a server on which bytes can be held up, as networks and machines hold them up: nobody
//! is told that anything is wrong.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::AbortHandle,
};
use url::Url;

/// The most bytes that one direction of a connection keeps.
const BUFFER_BYTES: usize = 16 * 1024;

/// The way. Ends with the test, and with it every connection.
pub(crate) struct Proxy {
    address: SocketAddr,
    /// Where the server is.
    url: Url,
    flow: watch::Sender<Flow>,
    listening: AbortHandle,
}

/// On which connections bytes flow. They are counted from 0.
#[derive(Debug, Clone, Copy)]
struct Flow {
    is_held_up: bool,
    next: u64,
    /// Those before it are lost.
    lost_before: u64,
}

impl Flow {
    fn lets_through(self, connection: u64) -> bool {
        !self.is_held_up && connection >= self.lost_before
    }
}

impl Proxy {
    /// A way to the server of this URL.
    pub(crate) async fn to(url: &str) -> Self {
        let url: Url = url.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let flow = watch::Sender::new(Flow {
            is_held_up: false,
            next: 0,
            lost_before: 0,
        });
        let server = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listening = tokio::spawn(listen(listener, server, flow.clone())).abort_handle();
        Self {
            address,
            url,
            flow,
            listening,
        }
    }

    /// The server's URL by this way.
    pub(crate) fn url(&self) -> String {
        let mut url = self.url.clone();
        url.set_ip_host(self.address.ip()).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    /// Lets no byte through any more, on old connections and new ones.
    pub(crate) fn hold_up(&self) {
        self.flow.send_modify(|flow| flow.is_held_up = true);
    }

    /// Lets them go on.
    pub(crate) fn go_on(&self) {
        self.flow.send_modify(|flow| flow.is_held_up = false);
    }

    /// Lets no byte through for ever on the connections that there are; new ones are well.
    pub(crate) fn lose_connections(&self) {
        self.flow.send_modify(|flow| flow.lost_before = flow.next);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, server: (String, u16), flow: watch::Sender<Flow>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        // A server that is not there refuses its client, too.
        let Ok(server) = TcpStream::connect((server.0.as_str(), server.1)).await else {
            continue;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let mut number = 0;
        flow.send_modify(|flow| {
            number = flow.next;
            flow.next += 1;
        });
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::spawn(pass(from_client, to_server, number, flow.subscribe()));
        tokio::spawn(pass(from_server, to_client, number, flow.subscribe()));
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: u64,
    mut flow: watch::Receiver<Flow>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        // Also that one side has gone is not told to the other.
        if flow
            .wait_for(|flow| flow.lets_through(number))
            .await
            .is_err()
        {
            return Ok(());
        }
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
