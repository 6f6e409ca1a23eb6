//! The parts of the OpenAPI document that routes share.

mod answers;

pub(super) use answers::*;

use utoipa::{
    IntoParams, OpenApi as _, PartialSchema,
    openapi::{
        KnownFormat, Object, ObjectBuilder, OpenApi, RefOr, Required, Schema, SchemaFormat, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::SchemaType,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::problem::{FieldProblem, ProblemBody};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Hookledger",
        description = "Webhooks that can be proved: publish a message, and every subscribed \
            webhook gets it, signed, at least once.\n\nEvery request needs \
            `Authorization: Bearer <token>`: the platform token, an API token (`hlk_…`) or, where \
            it is configured, a JWT of the platform's identity provider. With the platform token, \
            `X-Tenant-Id` names the tenant. Lists are cut into pages: give `next_cursor` as \
            `cursor` to get the next one. Errors are `application/problem+json`; `code` is stable.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemBody, FieldProblem)),
    security(("bearer" = [])),
    tags(
        (name = "Messages", description = "Publish, and see what became of it"),
        (name = "Webhooks", description = "Where messages go"),
        (name = "Deliveries", description = "One message to one webhook, and its attempts"),
        (name = "Audit", description = "The ledger: what happened, and whether it was written so"),
        (name = "Billing", description = "What Stripe tells of the tenants' subscriptions"),
        (name = "Topics", description = "What messages can be about"),
        (name = "Tokens", description = "API tokens of a tenant"),
        (name = "Platform", description = "With the platform token only"),
        (name = "Operations", description = "For those who run the server"),
    )
)]
struct Head;

/// The document without routes.
pub(super) fn head() -> OpenApi {
    Head::openapi()
}

/// Adds what no attribute can say.
pub(super) fn finish(mut document: OpenApi) -> OpenApi {
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The platform token, an API token (hlk_…) or a JWT"))
        .build();
    if let Some(components) = &mut document.components {
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
    let items = document.paths.paths.values_mut();
    for operation in items
        .flat_map(|item| [&mut item.post, &mut item.put, &mut item.patch])
        .flatten()
    {
        if let Some(body) = &mut operation.request_body {
            let schemas = body
                .content
                .values_mut()
                .filter_map(|content| content.schema.as_mut());
            schemas.for_each(leave_null_out);
        }
    }
    document
}

/// A body that may be left out is an `Option` here, but may not be `null` there.
fn leave_null_out(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::OneOf(one_of)) = schema {
        let reference = one_of
            .items
            .iter()
            .find(|item| matches!(item, RefOr::Ref(_)));
        if let Some(reference) = reference.cloned() {
            *schema = reference;
        }
    }
}

/// Makes a set of parameters that several routes take.
macro_rules! parameters {
    ($($(#[$doc:meta])* $name:ident { $($parameter:expr,)+ })+) => {
        $($(#[$doc])*
        pub(super) enum $name {}

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![$($parameter),+]
            }
        })+
    };
}

parameters! {
    /// The tenant for which the platform acts.
    ActingFor {
        header("X-Tenant-Id", "The tenant; needed with the platform token, else that of the token", text_like("^[a-z0-9][a-z0-9_-]{0,62}$")),
    }
    /// What a message is recognised by.
    Idempotency {
        header("Idempotency-Key", "The same key again answers as the first time, with `duplicate` true", text_like("^[!-~]([ -~]{0,253}[!-~])?$")),
    }
    /// The version that may be changed.
    IfMatch {
        header("If-Match", "Change only these versions: the `ETag` of the webhook, several of them, or `*`", text_like(r#"^(\*|"[0-9]{1,18}"(, ?"[0-9]{1,18}")*)$"#)),
    }
    /// Of every list.
    Paging {
        query("limit", "How many rows at most (50)", ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(200)).into()),
        query("cursor", "`next_cursor` of the page before", text_like("^[A-Za-z0-9_-]+$")),
    }
    /// Of lists over time.
    Between {
        query("from", "Not before this time", time()),
        query("to", "Before this time", time()),
    }
    /// Of statistics.
    BucketLength {
        query("bucket", "How long a bucket is: seconds, or a duration such as `5m` or `1h`; 1 s to 1 d, and at most 1440 buckets", text_like("^[0-9]+(ms|s|m|h|d)?$")),
    }
    /// A tenant in the path.
    TenantPath { in_path("tenant", "The tenant's id", text_like("^[a-z0-9][a-z0-9_-]{0,62}$")), }
    /// A token in the path.
    TokenPath { in_path("id", "The token's id", id("tok")), }
    /// A topic in the path.
    TopicPath { in_path("topic", "The topic's name", topic()), }
    /// A webhook in the path.
    WebhookPath { in_path("id", "The webhook's id", id("wh")), }
    /// A message in the path.
    MessagePath { in_path("id", "The message's id", id("msg")), }
    /// A delivery in the path.
    DeliveryPath { in_path("id", "The delivery's id", id("dlv")), }
    /// A recovery in the path.
    RecoveryPath { in_path("recovery_id", "The recovery's id", id("rec")), }
    /// A callback of Stripe's in the path.
    CallbackPath { in_path("id", "The id of Stripe's event", text_like("^[A-Za-z0-9_.:-]{1,255}$")), }
    /// What Stripe signs with.
    StripeSignature { header("Stripe-Signature", "When the body was signed, and the signatures: `t=…,v1=…`", text_like("^t=[0-9]{1,12}(,v1=[0-9a-f]{64})+$")), }
    /// An attempt in the path.
    AttemptPath { in_path("id", "The attempt's id", id("att")), }
    /// As a webhook was once: one of them.
    WebhookMoment {
        query("at", "As it was at this time", time()),
        query("version", "As it was with this version", ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).into()),
    }
    /// Of the list of webhooks.
    WebhookFilter {
        query("is_active", "Only active or only inactive ones", ObjectBuilder::new().schema_type(Type::Boolean).into()),
        query("event", "Only those that a message of this topic would go to", topic()),
    }
    /// Of the list of deliveries.
    DeliveryFilter {
        query("webhook_id", "To this webhook", id("wh")),
        query("event", "Of this topic", topic()),
        query("status", "In this status", one_of(&["pending", "succeeded", "exhausted", "cancelled"])),
        query("message_id", "Of this message", id("msg")),
    }
    /// Of the lists of attempts, beside [`OfWebhook`].
    AttemptFilter {
        query("event", "Of this topic", topic()),
        query("outcome", "With this outcome", one_of(&["succeeded", "failed"])),
        query("response_status", "Answered with this status", ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(100)).maximum(Some(999)).into()),
        query("delivery_id", "Of this delivery", id("dlv")),
        query("message_id", "Of this message", id("msg")),
    }
    /// Of what is asked of the ledger.
    EventFilter {
        query("aggregate_type", "Of aggregates of this type", one_of(hookledger_domain::fact::Fact::AGGREGATE_TYPES)),
        query("aggregate_id", "Of this aggregate", text_like(r"^[^\x00-\x1f\x7f-\x9f]{1,255}$")),
        query("event_type", "Of this type", text_like("^[a-z_]{1,64}$")),
        query("actor", "What this actor did: its kind, its id, or both as `kind:id`", text_like(r"^[^\x00-\x1f\x7f-\x9f]{1,255}$")),
    }
    /// What is told of events beyond what stands in the contract.
    Including { query("include", "`origin`: each event with `client` and `cause`, too", one_of(&["origin"])), }
    /// Of the platform's questions about the ledger.
    ForTenant { query("tenant", "Of this tenant only", text_like("^[a-z0-9][a-z0-9_-]{0,62}$")), }
    /// A seal that was kept elsewhere.
    KeptSeal { query("seal", "A seal that was kept elsewhere, `NUMBER.POSITION.HASH`: it must be one of this ledger. Not together with `tenant`", text_like("^[0-9]{1,19}\\.[0-9]{1,19}\\.[0-9a-f]{64}$")), }
    /// Of lists over all webhooks.
    OfWebhook { query("webhook_id", "To this webhook", id("wh")), }
}

/// The schema of an id with this prefix.
pub(super) fn id(prefix: &str) -> RefOr<Schema> {
    text_like(&format!("^{prefix}_[0-9a-f]{{32}}$"))
}

/// The schema of a topic's name.
pub(super) fn topic() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*$"))
        .max_length(Some(hookledger_domain::topic::NAME_BYTES_MAX))
        .examples(["ticket.updated"])
        .into()
}

fn text_like(pattern: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
        .into()
}

fn one_of(words: &[&str]) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words.iter().copied()))
        .into()
}

/// The schema of a time.
pub(super) fn time() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-03-24T23:11:25.000Z"])
        .into()
}

fn query(name: &str, description: &str, schema: RefOr<Schema>) -> Parameter {
    parameter(name, description, schema, ParameterIn::Query)
}

fn header(name: &str, description: &str, schema: RefOr<Schema>) -> Parameter {
    parameter(name, description, schema, ParameterIn::Header)
}

fn in_path(name: &str, description: &str, schema: RefOr<Schema>) -> Parameter {
    parameter(name, description, schema, ParameterIn::Path)
}

fn parameter(
    name: &str,
    description: &str,
    schema: RefOr<Schema>,
    place: ParameterIn,
) -> Parameter {
    let is_required = matches!(place, ParameterIn::Path);
    ParameterBuilder::new()
        .name(name)
        .description(Some(description))
        .parameter_in(place)
        .required(if is_required {
            Required::True
        } else {
            Required::False
        })
        .schema(Some(schema))
        .build()
}

/// A place in a `value_type` for what only a function can describe.
macro_rules! described {
    ($($(#[$doc:meta])* $name:ident => $schema:expr;)+) => {
        $($(#[$doc])*
        pub(super) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema
            }
        }

        impl utoipa::ToSchema for $name {})+
    };
}

/// The schema of a JSON Schema, or `null`.
pub(super) fn json_schema() -> Object {
    let types = SchemaType::Array(vec![Type::Object, Type::Boolean, Type::Null]);
    ObjectBuilder::new().schema_type(types).build()
}

described! {
    /// What a webhook may subscribe to.
    PatternText => text_like(r"^(\*|[a-z0-9_-]+(\.[a-z0-9_-]+)*(\.\*)?)$");
    /// A wait between attempts.
    WaitSeconds => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(604_800)).into();
    /// A time.
    Time => time();
    /// The id of a webhook.
    WebhookIdText => id("wh");
    /// The id of a message.
    MessageIdText => id("msg");
    /// The id of a delivery.
    DeliveryIdText => id("dlv");
    /// The id of an attempt.
    AttemptIdText => id("att");
    /// The id of a token.
    TokenIdText => id("tok");
    /// The id of a recovery.
    RecoveryIdText => id("rec");
    /// The name of a topic.
    TopicText => topic();
}
