//! What happens around every request: its id, its count, and an answer also when a handler
//! panics. It has no part in authentication and reads no body.

use std::{
    cell::RefCell,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use actix_web::{
    Error, HttpMessage, ResponseError,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, Service, ServiceRequest, ServiceResponse},
    error::{InternalError, PayloadError},
    http::{
        Method,
        header::{HeaderName, HeaderValue, TRANSFER_ENCODING},
    },
    web::Bytes,
};
use futures_util::{FutureExt, Stream, StreamExt};

use super::{Api, call::RequestId, problem::Problem};

/// The header that carries a request's id, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Calls `service` with what belongs around it.
pub(super) fn around<S>(
    api: Arc<Api>,
    mut request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse, Error>> + use<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error>,
{
    let started = Instant::now();
    let id = request_id(&request);
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let path = request.uri().clone();
    let unread = hold_payload(&mut request);
    if method == Method::HEAD {
        // The encoder leaves the body of an answer to HEAD out by itself.
        request.head_mut().method = Method::GET;
    }
    let answer = std::panic::catch_unwind(AssertUnwindSafe(|| service.call(request)));
    async move {
        let answer = match answer {
            Ok(future) => AssertUnwindSafe(future).catch_unwind().await,
            Err(panic) => Err(panic),
        };
        let mut answer = answer.unwrap_or_else(|_| {
            tracing::error!(request_id = &*id, "a handler panicked");
            Err(with_response(&Problem::internal(), &id))
        });
        let status = match &mut answer {
            Ok(response) => {
                put_request_id(response.headers_mut(), &id);
                response.status()
            }
            Err(error) => error.as_response_error().status_code(),
        };
        api.routes.count(&method, path.path(), status.as_u16());
        tracing::debug!(
            request_id = &*id,
            method = method.as_str(),
            route = api.routes.pattern(path.path()),
            status = status.as_u16(),
            duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
        match unread {
            None => answer,
            Some(payload) => answer.map(|response| {
                response.map_body(|_, body| {
                    BoxBody::new(HoldingBody {
                        body,
                        _payload: payload,
                    })
                })
            }),
        }
    }
}

/// A chunked body that the handler may read, and that lives until the answer is sent. To a body
/// that was dropped unread before, actix-http would listen for as long as it lasts; if it is still
/// there, the connection is closed.
#[derive(Clone)]
struct HeldPayload(Rc<RefCell<Payload>>);

impl Stream for HeldPayload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_next_unpin(context)
    }
}

/// The body of an answer, and the request's body.
struct HoldingBody {
    body: BoxBody,
    _payload: HeldPayload,
}

impl MessageBody for HoldingBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

fn hold_payload(request: &mut ServiceRequest) -> Option<HeldPayload> {
    if !request.headers().contains_key(TRANSFER_ENCODING) {
        return None;
    }
    let held = HeldPayload(Rc::new(RefCell::new(request.take_payload())));
    request.set_payload(Payload::Stream {
        payload: Box::pin(held.clone()),
    });
    Some(held)
}

/// The client's id for the request, if it is a sane one, or a new one.
fn request_id(request: &ServiceRequest) -> Arc<str> {
    let given = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let is_sane = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
    };
    match given.filter(is_sane) {
        Some(id) => Arc::from(id),
        None => Arc::from(crate::entropy::request_id()),
    }
}

fn put_request_id(headers: &mut actix_web::http::header::HeaderMap, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value);
    }
}

/// An error that brings its whole answer along: the request is gone with the panic.
fn with_response(problem: &Problem, id: &str) -> Error {
    let mut response = problem.error_response();
    put_request_id(response.headers_mut(), id);
    InternalError::from_response("panic", response).into()
}
