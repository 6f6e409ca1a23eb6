//! Which routes there are, read off the OpenAPI document: tells a wrong method (405) from an
//! unknown route (404), and counts the requests of each route.

use std::collections::HashMap;

use actix_web::{HttpRequest, http::Method};
use prometheus_client::metrics::counter::Counter;
use utoipa::openapi::{OpenApi, PathItem};

use super::problem::Problem;
use crate::metrics::Metrics;

/// The status classes that are counted; no handler answers with another one.
const CLASSES: [&str; 3] = ["2xx", "4xx", "5xx"];
/// What a method that a route does not have is counted as.
const OTHER_METHOD: &str = "other";
/// What a path without a route is counted as.
const NO_ROUTE: &str = "none";

/// All routes.
pub(super) struct Routes {
    routes: Vec<Route>,
    /// The places in `routes` of those without parameters.
    plain: HashMap<String, usize>,
    none: Counters,
}

struct Route {
    pattern: String,
    allow: String,
    methods: Vec<(Method, Counters)>,
    other: Counters,
}

type Counters = [Counter; CLASSES.len()];

impl Routes {
    /// The routes of the document, and beside them those that are for browsers only.
    pub(super) fn new(document: &OpenApi, for_browsers: &[&str], metrics: &Metrics) -> Self {
        let documented = document
            .paths
            .paths
            .iter()
            .map(|(pattern, item)| Route::new(pattern, methods(item), metrics));
        let others = for_browsers
            .iter()
            .map(|pattern| Route::new(pattern, vec![Method::GET], metrics));
        let routes: Vec<Route> = documented.chain(others).collect();
        let plain = routes
            .iter()
            .enumerate()
            .filter(|(_, route)| !route.pattern.contains('{'))
            .map(|(at, route)| (route.pattern.clone(), at))
            .collect();
        Self {
            routes,
            plain,
            none: counters(metrics, OTHER_METHOD, NO_ROUTE),
        }
    }

    /// Why no handler took the request.
    pub(super) fn refuse(&self, request: &HttpRequest) -> Problem {
        match self.find(request.path()) {
            Some(route) => Problem::method_not_allowed(route.allow.clone()),
            None => Problem::not_found("route"),
        }
    }

    /// Why a segment of the path is no id: it may be a word that is a route of its own, with
    /// other methods.
    pub(super) fn no_id(&self, path: &str, what: &'static str) -> Problem {
        match self.plain.get(path).and_then(|at| self.routes.get(*at)) {
            Some(route) => Problem::method_not_allowed(route.allow.clone()),
            None => Problem::not_found(what),
        }
    }

    /// Counts an answer.
    pub(super) fn count(&self, method: &Method, path: &str, status: u16) {
        let [done, refused, failed] = self.counters(method, path);
        match status {
            ..400 => done.inc(),
            400..500 => refused.inc(),
            500.. => failed.inc(),
        };
    }

    /// The pattern of the route of a path.
    pub(super) fn pattern(&self, path: &str) -> &str {
        self.find(path).map_or(NO_ROUTE, |route| &route.pattern)
    }

    fn counters(&self, method: &Method, path: &str) -> &Counters {
        let Some(route) = self.find(path) else {
            return &self.none;
        };
        let known = route.methods.iter().find(|(known, _)| known == method);
        known.map_or(&route.other, |(_, counters)| counters)
    }

    fn find(&self, path: &str) -> Option<&Route> {
        match self.plain.get(path) {
            Some(at) => self.routes.get(*at),
            None => self.routes.iter().find(|route| route.matches(path)),
        }
    }
}

impl Route {
    fn new(pattern: &str, methods: Vec<Method>, metrics: &Metrics) -> Self {
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        Self {
            pattern: pattern.to_owned(),
            allow: names.join(", "),
            other: counters(metrics, OTHER_METHOD, pattern),
            methods: methods
                .iter()
                .map(|method| (method.clone(), counters(metrics, method.as_str(), pattern)))
                .collect(),
        }
    }

    fn matches(&self, path: &str) -> bool {
        let mut given = path.split('/');
        self.pattern.split('/').all(|wanted| match given.next() {
            Some(segment) if wanted.starts_with('{') => !segment.is_empty(),
            Some(segment) => segment == wanted,
            None => false,
        }) && given.next().is_none()
    }
}

fn methods(item: &PathItem) -> Vec<Method> {
    let mut methods = Vec::new();
    let mut put = |is_there: bool, method: &[Method]| {
        if is_there {
            methods.extend_from_slice(method);
        }
    };
    // Whatever answers GET answers HEAD.
    put(item.get.is_some(), &[Method::GET, Method::HEAD]);
    put(item.post.is_some(), &[Method::POST]);
    put(item.put.is_some(), &[Method::PUT]);
    put(item.patch.is_some(), &[Method::PATCH]);
    put(item.delete.is_some(), &[Method::DELETE]);
    methods
}

fn counters(metrics: &Metrics, method: &str, route: &str) -> Counters {
    CLASSES.map(|class| metrics.http_requests(method, route, class))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use utoipa::openapi::{HttpMethod, OpenApiBuilder, PathItem, Paths, path::Operation};

    use super::*;

    fn routes(metrics: &Metrics) -> Routes {
        let mut paths = Paths::new();
        for (path, method) in [
            ("/things", HttpMethod::Get),
            ("/things", HttpMethod::Post),
            ("/things/all", HttpMethod::Post),
            ("/things/{id}/parts/{part}", HttpMethod::Delete),
        ] {
            let mut one = Paths::new();
            one.paths
                .insert(path.to_owned(), PathItem::new(method, Operation::new()));
            paths.merge(one);
        }
        let document = OpenApiBuilder::new().paths(paths).build();
        Routes::new(&document, &["/docs"], metrics)
    }

    fn refusal(path: &str) -> Problem {
        let request = TestRequest::with_uri(path).to_http_request();
        routes(&Metrics::new()).refuse(&request)
    }

    #[test]
    fn a_wrong_method_is_told_from_an_unknown_route() {
        use actix_web::ResponseError;
        for (path, allow) in [
            ("/things", "GET, HEAD, POST"),
            ("/things/1/parts/%00", "DELETE"),
            ("/docs", "GET"),
        ] {
            let problem = refusal(path);
            assert_eq!(
                (problem.status.as_u16(), problem.code),
                (405, "method_not_allowed"),
                "{path}"
            );
            assert_eq!(
                problem.error_response().headers().get("allow").unwrap(),
                allow,
                "{path}"
            );
        }
        for path in [
            "/",
            "/thing",
            "/things/",
            "/things/1",
            "/things//parts/2",
            "/things/1/parts/2/x",
        ] {
            assert_eq!(refusal(path).code, "not_found", "{path}");
        }
    }

    #[test]
    fn a_word_in_place_of_an_id_may_be_a_route() {
        let routes = routes(&Metrics::new());
        assert_eq!(
            routes.no_id("/things/all", "thing").code,
            "method_not_allowed"
        );
        assert_eq!(routes.no_id("/things/none", "thing").code, "not_found");
    }

    #[test]
    fn answers_are_counted_by_route_and_not_by_path() {
        let metrics = Metrics::new();
        let routes = routes(&metrics);
        routes.count(&Method::DELETE, "/things/1/parts/2", 204);
        routes.count(&Method::DELETE, "/things/3/parts/4", 204);
        routes.count(&Method::TRACE, "/nowhere", 404);
        let text = metrics.encode();
        let line = |wanted: &str| text.lines().any(|line| line.contains(wanted));
        assert!(
            line(r#"{method="DELETE",route="/things/{id}/parts/{part}",status="2xx"} 2"#),
            "{text}"
        );
        assert!(
            line(r#"{method="other",route="none",status="4xx"} 1"#),
            "{text}"
        );
    }
}
