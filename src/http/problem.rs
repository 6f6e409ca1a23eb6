//! Errors as every route answers them: RFC 9457, `application/problem+json`.

use std::{borrow::Cow, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use hookledger_domain::{permission::Permission, validation::FieldError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{store, tenants};

/// The media type of a problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";
/// How long to wait when the store cannot be asked, in seconds.
const STORE_RETRY_AFTER_SECONDS: u64 = 1;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) detail: Cow<'static, str>,
    pub(super) errors: Vec<FieldError>,
    retry_after_seconds: Option<u64>,
    allow: Option<String>,
}

impl Problem {
    /// A problem with this status and code.
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_seconds: None,
            allow: None,
        }
    }

    /// Fields of the body are wrong.
    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.field.is_empty() => format!("the body {}", one.message),
            [one] => format!("{}: {}", one.field, one.message),
            several => format!("{} fields are not valid, see errors", several.len()),
        };
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_content", detail)
        }
    }

    /// One field of the body is wrong.
    pub(super) fn invalid_field(
        field: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::invalid(vec![FieldError::new(field, code, message)])
    }

    /// There is no such thing, or it is another tenant's: nobody can tell which.
    pub(super) fn not_found(what: &'static str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is no such {what}"),
        )
    }

    /// A parameter of the query or a header is wrong.
    pub(super) fn parameter(name: &str, expected: &str) -> Self {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_parameter",
            format!("the parameter {shown} {expected}"),
        )
    }

    /// The body is no JSON.
    pub(super) fn malformed_json(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
    }

    /// The body has more bytes than the route takes.
    pub(super) fn body_too_large(bytes_max: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("at most {bytes_max} bytes are accepted here"),
        )
    }

    /// No token, or one that is not (or no longer) valid.
    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "a valid token is needed: Authorization: Bearer <token>",
        )
    }

    /// The token is valid, but not for this.
    pub(super) fn forbidden(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// The token's role does not permit it.
    pub(super) fn missing_permission(permission: Permission) -> Self {
        Self::forbidden(
            "missing_permission",
            format!("the permission {} is needed", permission.as_str()),
        )
    }

    /// The route exists, but not with this method.
    pub(super) fn method_not_allowed(allow: String) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "the header Allow names the methods of this route",
            )
        }
    }

    /// The fault is ours. What happened stands in the log, not in the answer.
    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong here; the log has more under the request's id",
        )
    }

    /// The store cannot be asked now.
    pub(super) fn store_unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            "the store cannot be asked now",
        )
        .retry_after(STORE_RETRY_AFTER_SECONDS)
    }

    /// Too many do the same at this moment.
    pub(super) fn busy(detail: &'static str, retry_after_seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail).retry_after(retry_after_seconds)
    }

    /// Says when to try again.
    #[must_use]
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// What stands in the answer's body.
    pub(super) fn body(&self) -> ProblemBody<'_> {
        ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            errors: self.errors.iter().map(FieldProblem::from).collect(),
        }
    }
}

/// An error, as RFC 9457 describes it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
#[serde(deny_unknown_fields)]
pub(super) struct ProblemBody<'a> {
    /// Always `about:blank`: `code` tells the kinds apart.
    #[schema(format = "uri-reference", example = "about:blank")]
    r#type: &'static str,
    /// The status in words.
    #[schema(example = "Not Found")]
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 404)]
    status: u16,
    /// What is wrong, for people.
    #[schema(example = "there is no such webhook")]
    detail: &'a str,
    /// What is wrong, for programs; stable.
    #[schema(pattern = "^[a-z][a-z0-9_]*$", example = "not_found")]
    code: &'static str,
    /// What is wrong with the fields of the body; with `invalid_content` only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldProblem<'a>>,
}

/// What is wrong with one field of the body.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldProblem)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldProblem<'a> {
    /// The field's path; empty for the body as a whole.
    #[schema(example = "events[2]")]
    field: &'a str,
    /// What is wrong, for programs; stable.
    #[schema(pattern = "^[a-z][a-z0-9_]*$", example = "unknown_topic")]
    code: &'static str,
    /// What is wrong and what is allowed, for people.
    message: &'a str,
}

impl<'a> From<&'a FieldError> for FieldProblem<'a> {
    fn from(error: &'a FieldError) -> Self {
        Self {
            field: &error.field,
            code: error.code,
            message: &error.message,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((CONTENT_TYPE, MEDIA_TYPE));
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Some(methods) = &self.allow {
            response.insert_header((ALLOW, methods.as_str()));
        }
        response.body(serde_json::to_vec(&self.body()).unwrap_or_default())
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        if error.is_unavailable() {
            tracing::warn!(%error, "the store cannot be asked");
            return Self::store_unavailable();
        }
        if matches!(error, store::Error::Conflict) {
            return Self::new(
                StatusCode::CONFLICT,
                "conflict",
                "somebody else changed it first",
            );
        }
        tracing::error!(%error, "the store failed");
        Self::internal()
    }
}

impl From<tenants::Error> for Problem {
    fn from(error: tenants::Error) -> Self {
        use tenants::Error as E;
        match error {
            E::Invalid(errors) => Self::invalid(errors),
            E::NotFound => Self::not_found("resource"),
            E::Conflict { code, detail } => Self::new(StatusCode::CONFLICT, code, detail),
            E::PreconditionFailed => Self::precondition_failed(),
            E::Suspended => Self::forbidden(
                "tenant_suspended",
                "the tenant is suspended; nothing can be published until the platform ends that",
            ),
            E::Busy {
                retry_after_seconds,
            } => Self::busy(
                "the tenant has too many requests waiting",
                retry_after_seconds.max(1),
            ),
            E::Unavailable => Self::store_unavailable(),
            E::Internal => Self::internal(),
        }
    }
}

impl Problem {
    /// The thing is not in the version that `If-Match` names.
    pub(super) fn precondition_failed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition_failed",
            "the version that If-Match names is not the current one",
        )
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{body::to_bytes, http::header::HeaderMap};
    use serde_json::{Value, json};

    use super::*;

    async fn answer(problem: Problem) -> (u16, HeaderMap, Value) {
        let response = problem.error_response();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = to_bytes(response.into_body()).await.unwrap();
        (status, headers, serde_json::from_slice(&bytes).unwrap())
    }

    #[actix_web::test]
    async fn a_problem_has_the_contracts_members_and_no_others() {
        let (status, headers, body) = answer(Problem::not_found("webhook")).await;
        assert_eq!(status, 404);
        assert_eq!(headers.get(CONTENT_TYPE).unwrap(), MEDIA_TYPE);
        assert_eq!(
            body,
            json!({"type": "about:blank", "title": "Not Found", "status": 404,
                   "detail": "there is no such webhook", "code": "not_found"})
        );
    }

    #[actix_web::test]
    async fn wrong_fields_are_listed() {
        let (_, _, body) = answer(Problem::invalid_field(
            "url",
            "invalid_url",
            "must be a URL",
        ))
        .await;
        assert_eq!(body["code"], "invalid_content");
        assert_eq!(
            body["errors"],
            json!([{"field": "url", "code": "invalid_url", "message": "must be a URL"}])
        );
    }

    #[actix_web::test]
    async fn headers_say_what_to_do() {
        let busy = tenants::Error::Busy {
            retry_after_seconds: 0,
        };
        for (problem, status, header, value) in [
            (Problem::unauthorized(), 401, WWW_AUTHENTICATE, "Bearer"),
            (Problem::store_unavailable(), 503, RETRY_AFTER, "1"),
            (
                Problem::method_not_allowed("GET, PUT".to_owned()),
                405,
                ALLOW,
                "GET, PUT",
            ),
            (busy.into(), 429, RETRY_AFTER, "1"),
        ] {
            let (found, headers, _) = answer(problem).await;
            assert_eq!(
                (found, headers.get(header).unwrap().to_str().unwrap()),
                (status, value)
            );
        }
    }

    #[test]
    fn a_store_that_cannot_be_asked_is_no_fault_of_ours() {
        assert_eq!(
            Problem::from(store::Error::Unavailable("x".into())).status,
            503
        );
        assert_eq!(Problem::from(store::Error::Corrupt("x".into())).status, 500);
        assert_eq!(Problem::from(store::Error::Conflict).status, 409);
    }
}
