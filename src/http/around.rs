//! What happens around every request: its id, its count, and an answer also when a handler
//! panics. It has no part in authentication and reads no body.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use actix_web::{
    Error, HttpMessage, ResponseError,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        Method,
        header::{HeaderName, HeaderValue},
    },
};
use futures_util::FutureExt;

use super::{Api, call::RequestId, problem::Problem};

/// The header that carries a request's id, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Calls `service` with what belongs around it.
pub(super) fn around<S, B>(
    api: Arc<Api>,
    mut request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse<B>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let started = Instant::now();
    let id = request_id(&request);
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let path = request.uri().clone();
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
        answer
    }
}

/// The client's id for the request, if it is a sane one, or a new one.
fn request_id(request: &ServiceRequest) -> Arc<str> {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_sane = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
    };
    match given.filter(is_sane) {
        Some(id) => Arc::from(id),
        None => Arc::from(format!("req_{:032x}", rand::random::<u128>())),
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
