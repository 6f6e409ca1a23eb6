//! The API's description, for programs and for people. The page comes from this binary with all
//! that it needs and asks no other server for anything.

use std::sync::Arc;

use actix_web::{
    HttpResponse, get,
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue},
    web::{self, Data, Path},
};
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_swagger_ui::Config;

use super::{Api, problem::Problem};

/// The routes of this file that the document leaves out.
pub(super) const FOR_BROWSERS: [&str; 2] = ["/docs", "/docs/{file}"];

/// Swagger UI sets styles on elements and shows pictures that are in its style sheet; beyond that
/// it needs nothing but its own files and this API.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(openapi_json);
}

pub(super) fn register_for_browsers(config: &mut web::ServiceConfig) {
    config.service(page).service(asset);
}

/// This document
#[utoipa::path(
    tag = "Operations",
    operation_id = "openapi",
    security(()),
    responses((
        status = 200,
        description = "The API's description in OpenAPI 3.1.",
        body = Object,
        content_type = "application/json"
    ))
)]
#[get("/openapi.json")]
async fn openapi_json(api: Data<Api>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .body(api.document.clone())
}

#[get("/docs")]
async fn page() -> Result<HttpResponse, Problem> {
    let file = read("index.html")?;
    // The page names its files relative to a directory; `/docs` is none.
    let html = String::from_utf8_lossy(&file.bytes).replace("\"./", "\"/docs/");
    let html = html.replace("href=\"index.css\"", "href=\"/docs/index.css\"");
    Ok(answer(&file.content_type).body(html))
}

#[get("/docs/{file}")]
async fn asset(file: Path<String>) -> Result<HttpResponse, Problem> {
    let file = read(&file)?;
    Ok(answer(&file.content_type).body(file.bytes.into_owned()))
}

fn read(name: &str) -> Result<utoipa_swagger_ui::SwaggerFile<'static>, Problem> {
    let config = Config::new(["/openapi.json"])
        // The badge would send the document's address to validator.swagger.io.
        .validator_url("none")
        .try_it_out_enabled(true)
        .filter(true);
    match utoipa_swagger_ui::serve(name, Arc::new(config)) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(Problem::not_found("route")),
        Err(error) => {
            tracing::error!(%error, "the page of the documentation cannot be made");
            Err(Problem::internal())
        }
    }
}

fn answer(content_type: &str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, content_type));
    response.insert_header((CONTENT_SECURITY_POLICY, POLICY));
    response.insert_header(("x-content-type-options", "nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use actix_web::{App, test};

    use super::*;

    async fn get(path: &str) -> (u16, String) {
        let app = test::init_service(App::new().configure(register_for_browsers)).await;
        let request = test::TestRequest::get().uri(path).to_request();
        let response = test::call_service(&app, request).await;
        let status = response.status().as_u16();
        (
            status,
            String::from_utf8_lossy(&test::read_body(response).await).into_owned(),
        )
    }

    #[actix_web::test]
    async fn the_page_has_all_its_files_here() {
        let (status, html) = get("/docs").await;
        assert_eq!(status, 200);
        let mut files = 0;
        for part in html
            .split(['"', '\''])
            .filter(|part| part.contains('.') && !part.contains(' '))
        {
            if part.ends_with(".css") || part.ends_with(".js") || part.ends_with(".png") {
                assert!(part.starts_with("/docs/"), "{part}");
                assert_eq!(get(part).await.0, 200, "{part}");
                files += 1;
            }
        }
        assert!(files >= 4, "{html}");
        assert!(
            !html.contains("http://") && !html.contains("https://"),
            "{html}"
        );
    }

    #[actix_web::test]
    async fn the_page_tells_nobody_that_it_is_read() {
        let (_, script) = get("/docs/swagger-initializer.js").await;
        assert!(script.contains("/openapi.json"), "{script}");
        assert!(script.contains(r#""validatorUrl": "none""#), "{script}");
        assert!(!script.contains("https://"), "{script}");
    }

    #[actix_web::test]
    async fn other_files_are_not_found() {
        for path in ["/docs/passwd", "/docs/..%2fpasswd", "/docs/%2e%2e"] {
            assert_eq!(get(path).await.0, 404, "{path}");
        }
    }
}
