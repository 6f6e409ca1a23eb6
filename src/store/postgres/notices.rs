//! What nodes tell each other by `NOTIFY`, in the transaction of what they tell of.
//!
//! A notice says only where to look; what happened stands in the tables. So one that is lost costs
//! time, never a delivery: after a lost connection everything is looked at.

use std::{collections::BTreeSet, time::Duration};

use hookledger_domain::{
    ids::{DeliveryId, MessageId},
    tenant::TenantId,
};
use hookledger_projections::Change;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use uuid::Uuid;

use super::{ACQUIRE_TIMEOUT, session::in_time};
use crate::store::{Error, commit::EventRow};

/// The channel of all nodes on one database.
pub(super) const CHANNEL: &str = "hookledger";
/// After so long without a word the connection is tried.
const QUIET: Duration = Duration::from_secs(2);
/// PostgreSQL takes payloads of less than 8000 bytes.
const PAYLOAD_BYTES_MAX: usize = 7900;

/// What another node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// These messages were accepted and have deliveries.
    Messages(Vec<(TenantId, MessageId)>),
    /// What is to become of these deliveries was said by hand.
    Deliveries(Vec<(TenantId, DeliveryId)>),
    /// Recoveries of these tenants were started or cancelled.
    Recoveries(Vec<TenantId>),
    /// Webhooks or the suspension of these tenants have changed.
    Tenants(Vec<TenantId>),
    /// Secrets of webhooks of these tenants are sealed anew; whoever has no business with them
    /// now needs not know.
    Resealed(Vec<TenantId>),
    /// The catalogue of topics has changed.
    Topics,
    /// A node came or went, or let go of partitions.
    Nodes,
}

/// What a batch has to tell, collected.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    messages: Vec<String>,
    deliveries: Vec<String>,
    recoveries: BTreeSet<String>,
    tenants: BTreeSet<String>,
    resealed: BTreeSet<String>,
    is_about_topics: bool,
}

impl Announcements {
    /// Notes what others must know of an event of `tenant`.
    pub(super) fn add(&mut self, tenant: &str, event: &EventRow) {
        for change in &event.changes {
            match change {
                Change::InsertMessage(row) if row.deliveries > 0 => {
                    self.messages
                        .push(format!("{}/{}", row.tenant_id, row.id.uuid().simple()));
                }
                Change::UpdateDelivery(progress) if event.is_by_hand => {
                    self.deliveries
                        .push(format!("{tenant}/{}", progress.id.uuid().simple()));
                }
                Change::InsertRecovery(_) | Change::EndRecovery { .. } if event.is_by_hand => {
                    self.recoveries.insert(tenant.to_owned());
                }
                Change::CountGeneration { id } => drop(self.tenants.insert(id.to_string())),
                Change::SetWebhookSecrets { .. } => drop(self.resealed.insert(tenant.to_owned())),
                Change::PutTopic(_) | Change::DeleteTopic { .. } => self.is_about_topics = true,
                _ => {}
            }
        }
    }

    /// The payloads of the notifications that say it, in the name of `node`.
    pub(super) fn payloads(&self, node: Uuid) -> Vec<String> {
        let mut payloads = Vec::new();
        put(&mut payloads, node, 'm', self.messages.iter());
        put(&mut payloads, node, 'd', self.deliveries.iter());
        put(&mut payloads, node, 'r', self.recoveries.iter());
        put(&mut payloads, node, 't', self.tenants.iter());
        // What was rotated is among those already.
        let resealed = self.resealed.difference(&self.tenants);
        put(&mut payloads, node, 's', resealed);
        if self.is_about_topics {
            payloads.push(format!("{} c", node.simple()));
        }
        payloads
    }
}

/// The payload that says that nodes came, went or let go of partitions.
pub(super) fn about_nodes(node: Uuid) -> String {
    format!("{} n", node.simple())
}

fn put<'a>(
    payloads: &mut Vec<String>,
    node: Uuid,
    kind: char,
    words: impl Iterator<Item = &'a String>,
) {
    let start = format!("{} {kind}", node.simple());
    let mut payload = start.clone();
    for word in words {
        if payload.len() + 1 + word.len() > PAYLOAD_BYTES_MAX {
            payloads.push(std::mem::replace(&mut payload, start.clone()));
        }
        payload.push(' ');
        payload.push_str(word);
    }
    if payload.len() > start.len() {
        payloads.push(payload);
    }
}

/// What a payload says, unless it is the own node's.
fn read(payload: &str, own: Uuid) -> Option<Notice> {
    let mut words = payload.split(' ');
    let node = Uuid::try_parse(words.next()?).ok()?;
    if node == own {
        return None;
    }
    match words.next()? {
        "m" => Some(Notice::Messages(
            words
                .filter_map(|word| owned(word, MessageId::from_uuid))
                .collect(),
        )),
        "d" => Some(Notice::Deliveries(
            words
                .filter_map(|word| owned(word, DeliveryId::from_uuid))
                .collect(),
        )),
        "r" => Some(Notice::Recoveries(tenants(words))),
        "t" => Some(Notice::Tenants(tenants(words))),
        "s" => Some(Notice::Resealed(tenants(words))),
        "c" => Some(Notice::Topics),
        "n" => Some(Notice::Nodes),
        // A newer version says something that this one has no part in.
        _ => None,
    }
}

/// A word that names a thing and whose it is.
fn owned<Id>(word: &str, make: fn(Uuid) -> Id) -> Option<(TenantId, Id)> {
    let (tenant, id) = word.split_once('/')?;
    let id = make(Uuid::try_parse(id).ok()?);
    Some((tenant.parse().ok()?, id))
}

fn tenants<'a>(words: impl Iterator<Item = &'a str>) -> Vec<TenantId> {
    words.filter_map(|word| word.parse().ok()).collect()
}

/// Hears what other nodes say.
pub struct Notices {
    listener: PgListener,
    /// Of the one connection.
    pool: PgPool,
    own: Uuid,
}

impl Notices {
    pub(super) async fn listen(options: &PgConnectOptions, own: Uuid) -> Result<Self, Error> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(Self {
            listener,
            pool,
            own,
        })
    }

    /// Ends the connection.
    pub async fn close(self) {
        drop(self.listener);
        self.pool.close().await;
    }

    /// The next notice, which may be long in coming. An error means that the connection is lost,
    /// and with it whatever was said since: listen anew, and look at everything.
    pub async fn next(&mut self) -> Result<Notice, Error> {
        loop {
            let Ok(heard) = tokio::time::timeout(QUIET, self.listener.try_recv()).await else {
                // The silence may be that of a connection which the network has lost.
                self.try_out().await?;
                continue;
            };
            let Some(notification) = heard? else {
                return Err(Error::unavailable("the connection was lost"));
            };
            if let Some(notice) = read(notification.payload(), self.own) {
                return Ok(notice);
            }
        }
    }

    async fn try_out(&mut self) -> Result<(), Error> {
        in_time(sqlx::query(sql!("ping")).execute(&mut self.listener))
            .await
            .map(drop)
    }

    /// A notice that has arrived already, if there is one.
    pub fn next_arrived(&mut self) -> Option<Notice> {
        while let Some(notification) = self.listener.next_buffered() {
            let notice = read(notification.payload(), self.own);
            if notice.is_some() {
                return notice;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: usize) -> String {
        format!("tenant-{number}")
    }

    #[test]
    fn what_is_said_is_heard_by_others_only() {
        let (node, other) = (Uuid::from_u128(7), Uuid::from_u128(8));
        let id = MessageId::from_uuid(Uuid::from_u128(99));
        let delivery = DeliveryId::from_uuid(Uuid::from_u128(98));
        let said = Announcements {
            messages: vec![format!("acme/{}", id.uuid().simple())],
            deliveries: vec![format!("acme/{}", delivery.uuid().simple())],
            recoveries: BTreeSet::from(["acme".to_owned()]),
            tenants: BTreeSet::from(["acme".to_owned(), "other".to_owned()]),
            resealed: BTreeSet::from(["acme".to_owned(), "third".to_owned()]),
            is_about_topics: true,
        };
        let payloads = said.payloads(node);
        let heard: Vec<Notice> = payloads
            .iter()
            .filter_map(|payload| read(payload, other))
            .collect();
        let acme: TenantId = "acme".parse().unwrap();
        assert_eq!(
            heard,
            [
                Notice::Messages(vec![(acme.clone(), id)]),
                Notice::Deliveries(vec![(acme.clone(), delivery)]),
                Notice::Recoveries(vec![acme.clone()]),
                Notice::Tenants(vec![acme, "other".parse().unwrap()]),
                Notice::Resealed(vec!["third".parse().unwrap()]),
                Notice::Topics
            ]
        );
        assert_eq!(
            payloads.iter().find_map(|payload| read(payload, node)),
            None
        );
        assert_eq!(read(&about_nodes(node), other), Some(Notice::Nodes));
    }

    #[test]
    fn long_notices_are_cut_into_payloads_that_postgres_takes() {
        let said = Announcements {
            tenants: (0..2000).map(tenant).collect(),
            ..Announcements::default()
        };
        let payloads = said.payloads(Uuid::nil());
        assert!(payloads.len() > 2);
        assert!(payloads.iter().all(|payload| payload.len() < 8000));
        let mut heard = BTreeSet::new();
        for payload in &payloads {
            let Some(Notice::Tenants(tenants)) = read(payload, Uuid::max()) else {
                panic!("{payload}")
            };
            heard.extend(tenants.iter().map(ToString::to_string));
        }
        assert_eq!(heard, said.tenants);
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        for payload in [
            "",
            "x",
            "x m",
            "00000000000000000000000000000007 future words",
        ] {
            assert_eq!(read(payload, Uuid::nil()), None, "{payload}");
        }
    }
}
