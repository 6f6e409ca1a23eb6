//! The nodes on one database: who is there, who holds which partitions, and what they tell each
//! other.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hookledger_domain::{ids::MessageId, tenant::TenantId};
use hookledger_projections::rows::DeliveryRow;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    Postgres,
    ask::Value::{Id, Ids, Number, Numbers, Text, Texts, Time},
    notices::{self, Notices},
    rows,
};
use crate::store::Error;

/// What a node says of itself.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its version of Hookledger.
    pub version: String,
    /// Where it listens.
    pub address: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
}

/// A node as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Made anew with every start.
    pub id: Uuid,
    /// Its version of Hookledger.
    pub version: String,
    /// Where it listens.
    pub address: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When its lease ends unless it is renewed, by the database's clock.
    pub lease_expires_at: DateTime<Utc>,
    /// How long that is from now, in milliseconds; negative if it is over.
    pub lease_ms: i64,
    /// How long the delivery that waits longest has been due there, in milliseconds.
    pub lag_ms: u64,
    /// The partitions that it holds, each with its epoch.
    pub partitions: Vec<(u8, u64)>,
}

/// A delivery that was scheduled by another node and has had no attempt yet.
#[derive(Debug, Clone)]
pub struct Fresh {
    /// Its row.
    pub row: DeliveryRow,
    /// What is to be sent; `None` once erased.
    pub body: Option<Bytes>,
}

/// The side of the store that nodes share. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    engine: Arc<Postgres>,
}

impl Cluster {
    pub(in crate::store) fn new(engine: Arc<Postgres>) -> Self {
        Self { engine }
    }

    /// This node's id.
    pub fn node_id(&self) -> Uuid {
        self.engine.id
    }

    /// Says that this node is alive, until `lease` from now on the database's clock.
    pub async fn beat(
        &self,
        node: &Registration,
        lease: Duration,
        lag_ms: u64,
    ) -> Result<(), Error> {
        let values = [
            Id(self.engine.id),
            Text(&node.version),
            Text(&node.address),
            Time(node.started_at),
            Number(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX)),
            Number(i64::try_from(lag_ms).unwrap_or(i64::MAX)),
        ];
        self.run(sql!("put_node"), &values).await
    }

    /// All nodes that are written down, the youngest first. One that has crashed stands there for
    /// an hour.
    pub async fn nodes(&self) -> Result<Vec<NodeRow>, Error> {
        self.engine.asker.list(sql!("nodes"), &[], node).await
    }

    /// Takes at most `count` partitions that nobody holds; gives them with their new epochs.
    pub async fn claim(&self, count: usize) -> Result<Vec<(u8, u64)>, Error> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let read = |row: &PgRow| partition(row.try_get("id")?, row.try_get("epoch")?);
        let values = [Id(self.engine.id), Number(count)];
        self.engine
            .asker
            .list(sql!("claim_partitions"), &values, read)
            .await
    }

    /// Lets go of partitions and tells the other nodes.
    pub async fn release(&self, partitions: &[u8]) -> Result<(), Error> {
        let partitions: Vec<i64> = partitions.iter().copied().map(i64::from).collect();
        let notice = notices::about_nodes(self.engine.id);
        let values = [Id(self.engine.id), Numbers(&partitions), Text(&notice)];
        self.run(sql!("release_partitions"), &values).await
    }

    /// Lets go of everything, takes this node off the list and tells the others.
    pub async fn leave(&self) -> Result<(), Error> {
        self.bury(self.engine.id).await
    }

    /// The same for another node, which must be dead.
    pub async fn bury(&self, node: Uuid) -> Result<(), Error> {
        let notice = notices::about_nodes(self.engine.id);
        self.run(sql!("leave"), &[Id(node), Text(&notice)]).await
    }

    /// Tells the other nodes that something about the nodes has changed.
    pub async fn announce(&self) -> Result<(), Error> {
        let notice = notices::about_nodes(self.engine.id);
        self.run(sql!("notify"), &[Text(&notice)]).await
    }

    /// Hears what other nodes say from now on.
    pub async fn listen(&self) -> Result<Notices, Error> {
        Notices::listen(&self.engine.connect, self.engine.id).await
    }

    /// What is still to be sent of these messages for the first time.
    pub async fn fresh(&self, messages: &[(TenantId, MessageId)]) -> Result<Vec<Fresh>, Error> {
        let tenants: Vec<String> = messages
            .iter()
            .map(|(tenant, _)| tenant.to_string())
            .collect();
        let ids: Vec<Uuid> = messages.iter().map(|(_, id)| id.uuid()).collect();
        let read = |row: &PgRow| {
            Ok(Fresh {
                row: rows::delivery(row)?,
                body: row.try_get::<Option<String>, _>("text")?.map(Bytes::from),
            })
        };
        self.engine
            .asker
            .list(sql!("find_fresh"), &[Texts(&tenants), Ids(&ids)], read)
            .await
    }

    async fn run(&self, sql: &'static str, values: &[super::ask::Value<'_>]) -> Result<(), Error> {
        self.engine.asker.all(sql, values).await.map(drop)
    }
}

fn node(row: &PgRow) -> Result<NodeRow, Error> {
    let ids: Vec<i16> = row.try_get("partitions")?;
    let epochs: Vec<i64> = row.try_get("epochs")?;
    Ok(NodeRow {
        id: row.try_get("id")?,
        version: row.try_get("version")?,
        address: row.try_get("address")?,
        started_at: row.try_get("started_at")?,
        lease_expires_at: row.try_get("lease_expires_at")?,
        lease_ms: row.try_get("lease_ms")?,
        lag_ms: u64::try_from(row.try_get::<i64, _>("lag_ms")?).unwrap_or(0),
        partitions: ids
            .into_iter()
            .zip(epochs)
            .map(|(id, epoch)| partition(id, epoch))
            .collect::<Result<_, _>>()?,
    })
}

fn partition(id: i16, epoch: i64) -> Result<(u8, u64), Error> {
    Ok((
        u8::try_from(id).map_err(Error::corrupt)?,
        u64::try_from(epoch).map_err(Error::corrupt)?,
    ))
}
