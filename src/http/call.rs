//! One request, as the handlers see it: they ask in their own order for the caller, the
//! parameters and the body, so that nobody without a token learns what is wrong with a body.

use std::{
    future::ready,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    error::PayloadError,
    http::StatusCode,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRANSFER_ENCODING},
    web::{Bytes, BytesMut, Data},
};
use futures_util::StreamExt;
use hookledger_domain::{
    actor::{Actor, Origin},
    permission::Permission,
    tenant::TenantId,
};

use super::{
    Api,
    auth::Identity,
    fields::{self, Body},
    precondition::Precondition,
    problem::Problem,
    query::Query,
};

/// The most bytes of a body of the platform and admin routes.
pub(super) const ADMIN_BYTES_MAX: usize = 64 * 1024;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Says whether a piece of a body with so many bytes may be taken.
type Admit<'a> = dyn FnMut(usize) -> Result<(), Problem> + 'a;

/// One request.
pub(super) struct Call {
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
}

/// Who makes a call, within which tenant.
pub(super) struct Caller {
    /// The tenant that it concerns.
    pub(super) tenant: TenantId,
    identity: Identity,
}

/// The id of a request, given by the client or made here.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) Arc<str>);

impl FromRequest for Call {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(match request.app_data::<Data<Api>>() {
            Some(api) => Ok(Self {
                request: request.clone(),
                payload: payload.take(),
                api: api.clone(),
            }),
            None => Err(Problem::internal()),
        })
    }
}

impl Call {
    /// What the server is made of.
    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    /// Whoever asks, if they have the permission within the tenant that they act for.
    pub(super) async fn caller(&self, permission: Permission) -> Result<Caller, Problem> {
        let identity = self.api.auth.identify(self.request.headers()).await?;
        identity.require(permission)?;
        self.within_tenant(identity).await
    }

    /// Anybody with a token, within the tenant that they act for.
    pub(super) async fn any_caller(&self) -> Result<Caller, Problem> {
        let identity = self.api.auth.identify(self.request.headers()).await?;
        self.within_tenant(identity).await
    }

    /// Whoever asks, if it is the platform.
    pub(super) async fn platform(&self) -> Result<(), Problem> {
        self.api
            .auth
            .identify(self.request.headers())
            .await?
            .require_platform()
    }

    /// The platform, acting on the tenant that the path names.
    pub(super) async fn platform_on_tenant(&self) -> Result<Caller, Problem> {
        self.platform().await?;
        let tenant = self.api.auth.known_tenant(self.path("tenant")).await?;
        Ok(Caller {
            tenant,
            identity: Identity::Platform,
        })
    }

    /// What the ledger keeps about how a command of `caller` came to be.
    pub(super) fn origin(&self, caller: &Caller) -> Origin {
        self.origin_of(Some(caller.tenant.clone()), caller.identity.actor())
    }

    /// The same for a command of the platform that concerns `tenant` or none.
    pub(super) fn platform_origin(&self, tenant: Option<TenantId>) -> Origin {
        self.origin_of(tenant, Identity::Platform.actor())
    }

    /// The same for what Stripe tells, of whatever tenant.
    pub(super) fn stripe_origin(&self) -> Origin {
        self.origin_of(None, Actor::stripe())
    }

    /// The address from which the request came.
    pub(super) fn client(&self) -> IpAddr {
        let peer = self.request.peer_addr();
        peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.ip())
    }

    /// A part of the path, as it stands there.
    pub(super) fn path(&self, name: &str) -> &str {
        self.request.match_info().get(name).unwrap_or_default()
    }

    /// An id in the path. What is no id cannot exist: 404.
    pub(super) fn id<Id: FromStr>(&self, what: &'static str) -> Result<Id, Problem> {
        self.path("id")
            .parse()
            .map_err(|_| self.api.routes.no_id(self.request.path(), what))
    }

    /// The parameters, of which only these may be given.
    pub(super) fn query(&self, known: &[&[&str]]) -> Result<Query<'_>, Problem> {
        Query::parse(self.request.query_string(), known)
    }

    /// Refuses every parameter.
    pub(super) fn no_query(&self) -> Result<(), Problem> {
        self.query(&[]).map(drop)
    }

    /// What `If-Match` asks for.
    pub(super) fn precondition(&self) -> Result<Precondition, Problem> {
        Precondition::parse(self.request.headers())
    }

    /// The one value of a header, if it is given.
    pub(super) fn header(&self, name: &HeaderName) -> Result<Option<&[u8]>, Problem> {
        let mut values = self.request.headers().get_all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Problem::parameter(name.as_str(), "may be given once")),
            (value, None) => Ok(value.map(|value| value.as_bytes())),
        }
    }

    /// The body of an admin route.
    pub(super) async fn body<T: Body>(&mut self) -> Result<T, Problem> {
        fields::read(&self.json(ADMIN_BYTES_MAX).await?)
    }

    /// The body of an admin route that may be left out; it then stands for `{}`.
    pub(super) async fn optional_body<T: Body>(&mut self) -> Result<T, Problem> {
        let headers = self.request.headers();
        let is_empty = headers
            .get(CONTENT_LENGTH)
            .is_none_or(|length| length == "0")
            && !headers.contains_key(TRANSFER_ENCODING);
        if is_empty {
            return fields::read(b"{}");
        }
        self.body().await
    }

    /// The bytes of a JSON body. What is announced as too long is not read at all, what turns
    /// out too long not to its end.
    pub(super) async fn json(&mut self, bytes_max: usize) -> Result<Bytes, Problem> {
        self.require_json()?;
        self.bytes(bytes_max, BODY_TIMEOUT, &mut |_| Ok(())).await
    }

    /// The bytes of a body whatever it is, read likewise, if it arrives `within` this time. `admit` is
    /// told of the size of each piece, and may refuse it.
    pub(super) async fn bytes(
        &mut self,
        bytes_max: usize,
        within: Duration,
        admit: &mut Admit<'_>,
    ) -> Result<Bytes, Problem> {
        let announced = self.request.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > bytes_max as u64) {
            return Err(Problem::body_too_large(bytes_max));
        }
        match tokio::time::timeout(within, read_all(&mut self.payload, bytes_max, admit)).await {
            Ok(bytes) => bytes,
            Err(_) => Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                format!("the body did not arrive within {} s", within.as_secs()),
            )),
        }
    }

    fn require_json(&self) -> Result<(), Problem> {
        let headers = self.request.headers();
        let content_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let is_json = content_type.is_some_and(|value| {
            let essence = value.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        });
        let is_plain = headers
            .get(CONTENT_ENCODING)
            .is_none_or(|coding| coding == "identity");
        if is_json && is_plain {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body must be sent as Content-Type: application/json, without Content-Encoding",
        ))
    }

    async fn within_tenant(&self, identity: Identity) -> Result<Caller, Problem> {
        let tenant = self
            .api
            .auth
            .tenant(&identity, self.request.headers())
            .await?;
        Ok(Caller { tenant, identity })
    }

    fn origin_of(&self, tenant: Option<TenantId>, actor: Actor) -> Origin {
        let request_id = self
            .request
            .extensions()
            .get::<RequestId>()
            .map(|id| id.0.clone());
        Origin {
            tenant,
            actor,
            request_id,
            client: self.request.peer_addr().map(client),
            cause: None,
        }
    }
}

fn client(address: SocketAddr) -> Arc<str> {
    Arc::from(address.ip().to_string())
}

async fn read_all(
    payload: &mut Payload,
    bytes_max: usize,
    admit: &mut Admit<'_>,
) -> Result<Bytes, Problem> {
    let mut take = |read: usize, chunk: Result<Bytes, PayloadError>| -> Result<Bytes, Problem> {
        let chunk = within(read, chunk, bytes_max)?;
        admit(chunk.len())?;
        Ok(chunk)
    };
    let first = match payload.next().await {
        Some(chunk) => take(0, chunk)?,
        None => return Ok(Bytes::new()),
    };
    // Most bodies come in one piece, which then needs no copy.
    let Some(second) = payload.next().await else {
        return Ok(first);
    };
    let mut all = BytesMut::from(first.as_ref());
    all.extend_from_slice(&take(all.len(), second)?);
    while let Some(chunk) = payload.next().await {
        let chunk = take(all.len(), chunk)?;
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

fn within(
    read: usize,
    chunk: Result<Bytes, PayloadError>,
    bytes_max: usize,
) -> Result<Bytes, Problem> {
    let chunk = chunk.map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "incomplete_body",
            "the body broke off or is framed wrongly",
        )
    })?;
    if chunk.len() > bytes_max - read {
        return Err(Problem::body_too_large(bytes_max));
    }
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    async fn read(body: &'static str, bytes_max: usize) -> Result<Bytes, Problem> {
        let (_, mut payload) = TestRequest::default().set_payload(body).to_http_parts();
        read_all(&mut payload, bytes_max, &mut |_| Ok(())).await
    }

    #[actix_web::test]
    async fn a_body_is_read_up_to_its_limit() {
        assert_eq!(read("12345", 5).await, Ok(Bytes::from_static(b"12345")));
        assert_eq!(read("123456", 5).await.unwrap_err().status, 413);
        assert_eq!(read("", 5).await, Ok(Bytes::new()));
    }
}
