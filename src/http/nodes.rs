//! The nodes that serve one database.

use std::{cmp::Reverse, fmt, str::FromStr};

use actix_web::{HttpResponse, get};
use chrono::DateTime;
use hookledger_domain::clock::rfc3339;
use hookledger_projections::query::InvalidCursor;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    call::Call,
    openapi::{Denied, OfPlatform, Paging, time},
    pages::{List, cut, list},
    problem::Problem,
    query::PAGING,
};
use crate::nodes::Node;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(list_nodes);
}

/// A process that serves the database.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Node)]
#[serde(deny_unknown_fields)]
struct NodeView {
    /// Made anew with every start.
    #[schema(
        pattern = "^node_[0-9a-f]{32}$",
        example = "node_0190a1b2c3d47e5f8a9b0c1d2e3f4a5b"
    )]
    id: String,
    /// Its version of Hookledger.
    #[schema(example = "0.1.0")]
    version: String,
    /// Where it listens.
    #[schema(example = "10.0.0.7:8080")]
    address: String,
    /// When it started.
    #[schema(schema_with = time)]
    started_at: String,
    /// When its lease ends unless it is renewed; `null` with the embedded store, which has one
    /// process.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    lease_expires_at: Option<String>,
    /// Whether its lease is good.
    is_alive: bool,
    /// The partitions of tenants for which it sends, of 0 to 255.
    partitions: Vec<u16>,
    /// How long the delivery that waits longest there has been due, in milliseconds.
    lag_ms: u64,
}

impl From<Node> for NodeView {
    fn from(node: Node) -> Self {
        Self {
            id: node_id(node.id),
            version: node.version,
            address: node.address,
            started_at: rfc3339(node.started_at),
            lease_expires_at: node.lease_expires_at.map(rfc3339),
            is_alive: node.is_alive,
            partitions: node.partitions.into_iter().map(u16::from).collect(),
            lag_ms: node.lag_ms,
        }
    }
}

/// What stands before a node's id.
const NODE_PREFIX: &str = "node_";

/// A node's id as users see it.
pub(super) fn node_id(id: uuid::Uuid) -> String {
    format!("{NODE_PREFIX}{}", id.simple())
}

/// The nodes, and what each of them sends
///
/// The youngest first. One that has crashed is shown for an hour.
#[utoipa::path(
    tag = "Platform",
    params(Paging),
    responses(
        Denied, OfPlatform,
        (status = 200, description = "A page of nodes.", body = List<NodeView>),
    )
)]
#[get("/api/platform/nodes")]
async fn list_nodes(call: Call) -> Result<HttpResponse, Problem> {
    call.platform().await?;
    let page = call.query(&[&PAGING])?.page::<Place>()?;
    let nodes = call.api().nodes.list().await?;
    let mut nodes: Vec<NodeView> = nodes.into_iter().map(NodeView::from).collect();
    nodes.sort_by_key(|node| Reverse(Place::of(node)));
    let rows = cut(
        nodes.into_iter(),
        page,
        |node, after| Place::of(node) < *after,
        Place::of,
    );
    Ok(list(rows, |node| node))
}

/// By which nodes are sorted: when they started, and their id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place(String, String);

impl Place {
    fn of(node: &NodeView) -> Self {
        Self(node.started_at.clone(), node.id.clone())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

impl FromStr for Place {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (started_at, id) = text.split_once(' ').ok_or(InvalidCursor)?;
        let is_place =
            id.starts_with(NODE_PREFIX) && DateTime::parse_from_rfc3339(started_at).is_ok();
        is_place
            .then(|| Self(started_at.to_owned(), id.to_owned()))
            .ok_or(InvalidCursor)
    }
}
