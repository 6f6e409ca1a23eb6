//! The catalogue: what messages can be about.

use actix_web::{HttpResponse, delete, get, put};
use hookledger_domain::topic::{self, Definition, Entry, InvalidTopic, Schema, Topic};
use hookledger_projections::query::Rows;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    call::Call,
    fields::{self, Body, Fields},
    openapi::{
        ActingFor, Commanded, Denied, OfPlatform, OfTenant, Paging, TopicPath, TopicText, WithBody,
        json_schema,
    },
    pages::{self, List, list},
    problem::Problem,
    query::PAGING,
};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(list_topics)
        .service(list_platform_topics)
        .service(put_topic)
        .service(delete_topic);
}

/// A topic in the catalogue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Topic)]
#[serde(deny_unknown_fields)]
struct TopicView {
    /// Its name.
    #[schema(value_type = TopicText)]
    name: Topic,
    /// What it is about, for people.
    description: String,
    /// The JSON Schema that published `data` must meet; `null`: any object.
    #[schema(schema_with = json_schema, required = true)]
    schema: Option<Box<RawValue>>,
    /// Whether Hookledger brings it along; such a topic cannot be deleted.
    built_in: bool,
}

/// A topic to put into the catalogue.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
struct TopicDefinition {
    /// Its name; if given, the one of the path.
    #[schema(value_type = Option<TopicText>, nullable = false)]
    name: Option<String>,
    /// What it is about, for people. If left out: empty, or of a built-in topic its own.
    #[schema(
        nullable = false,
        max_length = 1000,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"
    )]
    description: Option<String>,
    /// The JSON Schema that published `data` must meet; `null` or left out: any object. All that
    /// it refers to must be in it.
    #[schema(schema_with = json_schema)]
    schema: Option<Box<RawValue>>,
}

impl Body for TopicDefinition {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            name: fields.optional("name", fields::text),
            description: fields.optional("description", fields::text),
            schema: fields.nullable("schema", fields::json).flatten(),
        })
    }
}

/// The catalogue
///
/// By name. Every token may read it.
#[utoipa::path(
    tag = "Topics",
    params(ActingFor, Paging),
    responses(
        Denied, OfTenant,
        (status = 200, description = "A page of topics.", body = List<TopicView>),
    )
)]
#[get("/api/admin/topics")]
async fn list_topics(call: Call) -> Result<HttpResponse, Problem> {
    call.any_caller().await?;
    list_all(&call)
}

/// The catalogue, for the platform
///
/// By name.
#[utoipa::path(
    tag = "Platform",
    params(Paging),
    responses(
        Denied, OfPlatform,
        (status = 200, description = "A page of topics.", body = List<TopicView>),
    )
)]
#[get("/api/platform/topics")]
async fn list_platform_topics(call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    list_all(&call)
}

/// Put a topic into the catalogue, or change it
///
/// A built-in topic stays built in: deleting it takes these changes back. With a schema, messages
/// whose data do not meet it are refused from now on (422, `schema_mismatch`).
#[utoipa::path(
    tag = "Platform",
    params(TopicPath),
    request_body = TopicDefinition,
    responses(
        Denied, WithBody, Commanded,
        (status = 200, description = "It was there and is now this.", body = TopicView),
        (status = 201, description = "It is there now.", body = TopicView),
    )
)]
#[put("/api/platform/topics/{topic}")]
async fn put_topic(mut call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    call.no_query()?;
    let definition: TopicDefinition = call.body().await?;
    let name = topic_name(call.path("topic"), definition.name.as_deref())?;
    let built_in = topic::built_in_description(&name);
    let description = definition
        .description
        .unwrap_or_else(|| built_in.unwrap_or_default().to_owned());
    let is_new = call
        .api()
        .tenants
        .define_topic(
            Definition {
                name: name.clone(),
                description: description.clone(),
                schema: definition
                    .schema
                    .as_deref()
                    .map(|text| text.get().to_owned()),
            },
            call.platform_origin(None),
        )
        .await?;
    let mut response = if is_new {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    Ok(response.json(TopicView {
        name,
        description,
        schema: definition.schema,
        built_in: built_in.is_some(),
    }))
}

/// Take a topic out of the catalogue
///
/// Webhooks that subscribe to it keep doing so, but get no new messages of it. A built-in topic
/// that was changed is again as Hookledger brings it along; one that was not stays (409).
#[utoipa::path(
    tag = "Platform",
    params(TopicPath),
    responses(
        Denied, OfPlatform, OfTenant, Commanded,
        (status = 204, description = "It is gone."),
    )
)]
#[delete("/api/platform/topics/{topic}")]
async fn delete_topic(call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    call.no_query()?;
    let name = call
        .path("topic")
        .parse()
        .map_err(|_| Problem::not_found("topic"))?;
    call.api()
        .tenants
        .remove_topic(name, call.platform_origin(None))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

fn list_all(call: &Call) -> Result<HttpResponse, Problem> {
    let page = call.query(&[&PAGING])?.page::<Topic>()?;
    let catalogue = call.api().tenants.catalogue();
    let rows: Rows<(&Topic, &Entry), Topic> = pages::cut(
        catalogue.iter(),
        page,
        |(name, _), after| *name > after,
        |(name, _)| (*name).clone(),
    );
    Ok(list(rows, |(name, entry)| TopicView {
        name: name.clone(),
        description: entry.description.clone(),
        schema: entry.schema.as_deref().and_then(written),
        built_in: entry.is_built_in,
    }))
}

/// A schema as it was written.
fn written(schema: &Schema) -> Option<Box<RawValue>> {
    RawValue::from_string(schema.text().to_owned()).ok()
}

/// The name in the path, which is checked as content: it is what the request wants to make.
fn topic_name(path: &str, given: Option<&str>) -> Result<Topic, Problem> {
    let invalid =
        |error: InvalidTopic| Problem::invalid_field("name", "invalid_topic", error.to_string());
    let name: Topic = path.parse().map_err(invalid)?;
    if given.is_some_and(|given| given != name.as_str()) {
        return Err(Problem::invalid_field(
            "name",
            "invalid_value",
            "must be the name in the path",
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_path() {
        assert!(topic_name("order.placed", None).is_ok());
        assert!(topic_name("order.placed", Some("order.placed")).is_ok());
        assert_eq!(
            topic_name("order.placed", Some("order.paid"))
                .unwrap_err()
                .errors[0]
                .code,
            "invalid_value"
        );
        assert_eq!(
            topic_name("Order", None).unwrap_err().errors[0].code,
            "invalid_topic"
        );
    }

    #[test]
    fn a_schema_is_kept_as_it_was_written() {
        let schema = |body: &[u8]| {
            let definition: TopicDefinition = fields::read(body).unwrap();
            definition.schema.map(|schema| schema.get().to_owned())
        };
        let text = r#"{ "type":"object", "a": 1.0 }"#;
        let body = format!(r#"{{"schema":{text}}}"#);
        assert_eq!(schema(body.as_bytes()).as_deref(), Some(text));
        assert_eq!(schema(br#"{"schema":null,"description":"An order"}"#), None);
        assert_eq!(schema(b"{}"), None);
    }
}
