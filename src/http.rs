//! The HTTP API: who may ask, what they send, what they get.
//!
//! One file a resource. A handler's `utoipa::path` attribute stands on the same item as its route,
//! so the OpenAPI document has the routes that there are. A [`call::Call`] is how handlers see a
//! request; a [`problem::Problem`] is how they refuse it.

use std::sync::Arc;

use actix_web::{
    App, Error as ActixError, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    web::{self, Bytes, Data},
};
use hookledger_domain::clock::Clock;
use utoipa::openapi::OpenApi;
use utoipa_actix_web::{AppExt, service_config::ServiceConfig};

use crate::{
    inbound::Stripe,
    metrics::Metrics,
    nodes::Nodes,
    store::{Audit, Rebuild, Sealer, Signer, Views},
    tenants::Tenants,
};

mod around;
mod audit;
mod auth;
mod billing;
mod call;
mod deliveries;
mod docs;
mod erasure;
mod fields;
mod health;
mod keys;
mod logs;
mod messages;
mod nodes;
mod openapi;
mod pages;
mod precondition;
mod problem;
mod query;
mod rebuild;
mod routes;
mod stats;
mod tenant;
mod tokens;
mod topics;
mod webhooks;

pub use auth::jwt::{Error, JwtKey, JwtOptions};
pub use health::{Health, NotReady};

/// What the API is made of.
pub struct Options {
    /// Carries the commands out.
    pub tenants: Tenants,
    /// Answers the questions.
    pub views: Views,
    /// Makes views anew.
    pub rebuild: Rebuild,
    /// Reads and checks the ledger as a whole.
    pub audit: Audit,
    /// Seals it.
    pub sealer: Sealer,
    /// Signs seals; `None`: they are not signed.
    pub signer: Option<Arc<dyn Signer>>,
    /// Knows this node and the others.
    pub nodes: Nodes,
    /// Takes Stripe's callbacks.
    pub stripe: Stripe,
    /// The token with every permission.
    pub platform_token: String,
    /// How JWTs are checked; `None`: there are none.
    pub jwt: Option<JwtOptions>,
    /// Says whether the server can do its work.
    pub health: Arc<dyn Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// By which tokens expire and circuits open.
    pub clock: Arc<dyn Clock>,
}

/// The API, ready to be served by any number of workers.
pub struct Api {
    tenants: Tenants,
    views: Views,
    rebuild: Rebuild,
    desk: audit::Desk,
    nodes: Nodes,
    stripe: Stripe,
    auth: auth::Authenticator<Views>,
    health: Arc<dyn Health>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    routes: routes::Routes,
    document: Bytes,
}

impl Api {
    /// Reads the keys of JWTs and makes the document.
    ///
    /// # Errors
    /// A key file cannot be read or holds no key.
    pub fn new(options: Options) -> Result<Arc<Self>, Error> {
        let jwt = options.jwt.map(auth::jwt::Verifier::load).transpose()?;
        let document = document();
        let routes = routes::Routes::new(&document, &docs::FOR_BROWSERS, &options.metrics);
        Ok(Arc::new(Self {
            auth: auth::Authenticator::new(
                options.views.clone(),
                options.clock.clone(),
                &options.platform_token,
                jwt,
            ),
            tenants: options.tenants,
            views: options.views,
            rebuild: options.rebuild,
            desk: audit::Desk::new(options.audit, options.sealer, options.signer),
            nodes: options.nodes,
            stripe: options.stripe,
            health: options.health,
            metrics: options.metrics,
            clock: options.clock,
            routes,
            document: Bytes::from(document.to_json().unwrap_or_default()),
        }))
    }
}

/// The application that a worker serves: `HttpServer::new(move || http::app(api.clone()))`.
pub fn app(
    api: Arc<Api>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = ActixError,
        InitError = (),
    >,
> {
    let around = api.clone();
    App::new()
        .into_utoipa_app()
        .app_data(Data::from(api))
        .configure(register)
        .into_app()
        .configure(docs::register_for_browsers)
        .default_service(web::to(refuse))
        .wrap_fn(move |request, service| around::around(around.clone(), request, service))
}

/// The OpenAPI document of the API.
#[must_use]
pub fn document() -> OpenApi {
    let (_, collected) = App::new()
        .into_utoipa_app()
        .openapi(openapi::head())
        .configure(register)
        .split_for_parts();
    openapi::finish(collected)
}

fn register(config: &mut ServiceConfig<'_>) {
    config
        .configure(messages::register)
        .configure(webhooks::register)
        .configure(deliveries::register)
        .configure(logs::register)
        .configure(erasure::register)
        .configure(rebuild::register)
        .configure(audit::register)
        .configure(stats::register)
        .configure(billing::register)
        .configure(topics::register)
        .configure(tokens::register)
        .configure(tenant::register)
        .configure(nodes::register)
        .configure(keys::register)
        .configure(health::register)
        .configure(docs::register);
}

async fn refuse(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, problem::Problem> {
    Err(api.routes.refuse(&request))
}

#[cfg(test)]
mod tests;
