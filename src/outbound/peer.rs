//! The last look at where a connection leads: at the connected peer, before a request is written.
//!
//! The connector dials only addresses that the [`Guard`] has judged, so this should never refuse.
//! It holds when that assumption breaks: an IP literal that a future client reads differently, a
//! resolver called without its port, a changed connector. `Response::remote_addr` would come too
//! late, when the request has been sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use tower_layer::Layer;
use tower_service::Service;

use super::guard::Guard;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The connector could not say whom it connected to.
#[derive(Debug, thiserror::Error)]
#[error("the connected peer has no known address")]
pub(super) struct UnknownPeer;

/// Wraps a connector so that each new connection's peer is judged.
#[derive(Clone)]
pub(super) struct JudgePeer(pub(super) Guard);

impl<S> Layer<S> for JudgePeer {
    type Service = Judged<S>;

    fn layer(&self, connector: S) -> Judged<S> {
        Judged {
            connector,
            guard: self.0.clone(),
        }
    }
}

/// A connector whose connections have been judged.
#[derive(Clone)]
pub(super) struct Judged<S> {
    connector: S,
    guard: Guard,
}

impl<S, Target> Service<Target> for Judged<S>
where
    S: Service<Target, Error = BoxError>,
    S::Response: Connection,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let connecting = self.connector.call(target);
        let guard = self.guard.clone();
        Box::pin(async move {
            let connection = connecting.await?;
            let mut facts = http::Extensions::new();
            connection.connected().get_extras(&mut facts);
            let peer = facts.get::<HttpInfo>().ok_or(UnknownPeer)?.remote_addr();
            guard.judge(peer)?;
            Ok(connection)
        })
    }
}

#[cfg(test)]
mod tests {

    use std::sync::Arc;

    use hookledger_domain::target::{Policy, Refusal};
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// A client whose look-ups go around the guard.
    fn client(guard: &Guard, address: std::net::SocketAddr) -> reqwest::Client {
        reqwest::Client::builder()
            .tls_backend_preconfigured(crate::outbound::tls::client_config().unwrap())
            .no_proxy()
            .resolve("hooks.example.com", address)
            .timeout(std::time::Duration::from_secs(2))
            .connector_layer(JudgePeer(guard.clone()))
            .build()
            .unwrap()
    }

    #[tokio::test]
    async fn an_unjudged_peer_gets_no_byte() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let guard = Guard::new(Arc::new(Policy::default()));
        let url = format!("http://hooks.example.com:{}/", address.port());
        let error = client(&guard, address)
            .post(url)
            .body("secret")
            .send()
            .await
            .unwrap_err();
        let mut cause: &dyn std::error::Error = &error;
        while let (false, Some(source)) = (cause.is::<Refusal>(), cause.source()) {
            cause = source;
        }
        assert!(cause.is::<Refusal>(), "{error:?}");
        let (mut socket, _) = listener.accept().await.unwrap();
        assert_eq!(socket.read(&mut [0; 64]).await.unwrap(), 0);
    }
}
