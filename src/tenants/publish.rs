//! Publishing: what is checked and made before a message reaches its tenant's actor.

use chrono::{DateTime, Utc};
use hookledger_domain::{
    actor::Origin,
    delivery::attempt::Trigger,
    ids::{DeliveryId, MessageId, WebhookId},
    message::{self, IdempotencyKey},
    tenant::TenantId,
    topic::Topic,
    validation::{FieldError, check_text},
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{
    Error, Tenants,
    accept::{Failed, Prepared},
    hex,
};
use crate::store;

/// The longest idempotency key, in characters.
pub(super) const IDEMPOTENCY_KEY_CHARACTERS_MAX: usize = 255;

/// A message as the platform hands it in.
#[derive(Debug)]
pub struct Publish {
    /// Its topic, which must be in the catalogue.
    pub event: String,
    /// What it tells: a JSON object, whose text is kept.
    pub data: Box<RawValue>,
    /// When that happened; now, if it does not say.
    pub timestamp: Option<DateTime<Utc>>,
    /// What it is kept in order by.
    pub ordering_key: Option<String>,
    /// What a repetition is recognised by: 1 to 255 printable ASCII characters.
    pub idempotency_key: Option<String>,
}

/// A message that was accepted: it and its deliveries are on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its id.
    pub id: MessageId,
    /// Its topic.
    pub topic: Topic,
    /// When what it tells happened.
    pub timestamp: DateTime<Utc>,
    /// How many webhooks get it.
    pub deliveries: u32,
    /// It was accepted before, with the same idempotency key.
    pub duplicate: bool,
}

impl Tenants {
    /// Accepts a message. When this returns, message and deliveries survive a power cut.
    pub async fn publish(
        &self,
        tenant: &TenantId,
        publish: Publish,
        origin: Origin,
    ) -> Result<Published, Error> {
        let mut results = self.publish_batch(tenant, vec![publish], origin).await;
        results.pop().unwrap_or(Err(Error::Internal))
    }

    /// Accepts several messages, each for itself; the results are in the order of the messages.
    pub async fn publish_batch(
        &self,
        tenant: &TenantId,
        batch: Vec<Publish>,
        origin: Origin,
    ) -> Vec<Result<Published, Error>> {
        let mut results: Vec<Option<Result<Published, Error>>> = Vec::with_capacity(batch.len());
        let (mut prepared, mut places) = (Vec::with_capacity(batch.len()), Vec::new());
        for publish in batch {
            match self.prepare(tenant, publish).await {
                Ok(Known::No(item)) => {
                    places.push((results.len(), item.idempotency.clone()));
                    prepared.push(item);
                    results.push(None);
                }
                Ok(Known::Yes(published)) => results.push(Some(Ok(published))),
                Err(error) => results.push(Some(Err(error))),
            }
        }
        if !prepared.is_empty() {
            let accepted = self.directory.accept(tenant, prepared, origin).await;
            self.fill(tenant, places, accepted, &mut results).await;
        }
        results
            .into_iter()
            .map(|result| result.unwrap_or(Err(Error::Internal)))
            .collect()
    }

    /// Puts what the actor answered into the places of the messages that it was asked about.
    async fn fill(
        &self,
        tenant: &TenantId,
        places: Vec<(usize, Option<IdempotencyKey>)>,
        accepted: Result<Vec<Result<Published, Failed>>, Error>,
        results: &mut [Option<Result<Published, Error>>],
    ) {
        let answers = match accepted {
            Ok(answers) => answers,
            Err(error) => places
                .iter()
                .map(|_| Err(Failed::Actor(error.clone())))
                .collect::<Vec<_>>(),
        };
        for ((place, key), answer) in places.into_iter().zip(answers) {
            let result = match (answer, key) {
                (Ok(published), _) => Ok(published),
                // The same key was published at the same time, and was first.
                (Err(Failed::Store(store::Error::Conflict)), Some(key)) => {
                    match self.published_before(tenant, &key).await {
                        Ok(Some(published)) => Ok(published),
                        Ok(None) => Err(store::Error::Conflict.into()),
                        Err(error) => Err(error),
                    }
                }
                (Err(Failed::Store(error)), _) => Err(error.into()),
                (Err(Failed::Actor(error)), _) => Err(error),
            };
            if let Some(slot) = results.get_mut(place) {
                *slot = Some(result);
            }
        }
    }

    /// The topic of this name, if it is in the catalogue. Another node may have put it there just
    /// now, so the store is asked before one is called unknown.
    async fn check_topic(&self, name: &str) -> Result<Topic, Error> {
        if let Ok(topic) = self.catalogue().check("event", name) {
            return Ok(topic);
        }
        self.shared.refresh_catalogue().await?;
        self.catalogue()
            .check("event", name)
            .map_err(Error::invalid)
    }

    /// Checks the data against the topic's schema, if it has one.
    async fn check_data(&self, topic: &Topic, data: &RawValue) -> Result<(), Error> {
        let catalogue = self.catalogue();
        let entry = catalogue.get(topic.as_str());
        let Some(schema) = entry.and_then(|(_, entry)| entry.schema.as_deref()) else {
            return Ok(());
        };
        schema.check(data.get()).map_err(Error::Invalid)?;
        // A batch may be long, and others wait on this thread.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn prepare(&self, tenant: &TenantId, publish: Publish) -> Result<Known, Error> {
        let idempotency = match &publish.idempotency_key {
            Some(key) => Some(IdempotencyKey {
                key: check_key(key)?,
                content_sha256: fingerprint(&publish),
            }),
            None => None,
        };
        // Before the message is judged: what was accepted once is told so, also when it would be
        // refused by now.
        if let Some(key) = &idempotency
            && let Some(published) = self.published_before(tenant, key).await?
        {
            return Ok(Known::Yes(published));
        }
        let topic = self.check_topic(&publish.event).await?;
        if let Some(key) = &publish.ordering_key {
            check_text(
                "ordering_key",
                key,
                1..=message::ORDERING_KEY_CHARACTERS_MAX,
            )
            .map_err(Error::invalid)?;
        }
        self.check_data(&topic, &publish.data).await?;
        let timestamp = publish.timestamp.unwrap_or_else(|| self.shared.clock.now());
        let mut item = Prepared::new(topic, timestamp, &publish.data);
        item.ordering_key = publish.ordering_key;
        item.idempotency = idempotency;
        Ok(Known::No(item))
    }

    async fn published_before(
        &self,
        tenant: &TenantId,
        key: &IdempotencyKey,
    ) -> Result<Option<Published>, Error> {
        let Some(message) = self.shared.views.message_by_key(tenant, &key.key).await? else {
            return Ok(None);
        };
        let row = message.row;
        let is_same = row
            .idempotency
            .is_some_and(|known| known.content_sha256 == key.content_sha256);
        if !is_same {
            return Err(Error::conflict(
                "idempotency_key_reused",
                "this idempotency key was used with other content",
            ));
        }
        Ok(Some(Published {
            id: row.id,
            topic: row.topic,
            timestamp: row.timestamp,
            deliveries: row.deliveries,
            duplicate: true,
        }))
    }

    /// Sends one message to one webhook, once, also when the webhook is inactive.
    pub async fn test_webhook(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        topic: Option<String>,
        data: Option<Box<RawValue>>,
        origin: Origin,
    ) -> Result<DeliveryId, Error> {
        let row = self.shared.views.webhook(tenant, webhook).await?;
        let Some(row) = row.filter(|row| !row.is_deleted) else {
            return Err(Error::NotFound);
        };
        let topic = self
            .check_topic(topic.as_deref().unwrap_or(Topic::TEST))
            .await?;
        let data = match data {
            Some(data) => data,
            None => test_data(&row.config.name)?,
        };
        let mut item = Prepared::new(topic, self.shared.clock.now(), &data);
        item.only = Some(webhook);
        item.trigger = Trigger::Test;
        let answers = self.directory.test(tenant, item, origin).await?;
        answers.ok_or(Error::NotFound)
    }
}

/// What became of a message before it reached the actor.
enum Known {
    Yes(Published),
    No(Prepared),
}

fn test_data(webhook_name: &str) -> Result<Box<RawValue>, Error> {
    let data = serde_json::json!({ "message": "This is a test.", "webhook": webhook_name });
    serde_json::value::to_raw_value(&data).map_err(|_| Error::Internal)
}

fn check_key(key: &str) -> Result<String, Error> {
    let is_printable = key.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if is_printable && (1..=IDEMPOTENCY_KEY_CHARACTERS_MAX).contains(&key.len()) {
        return Ok(key.to_owned());
    }
    Err(Error::invalid(FieldError::new(
        "idempotency_key",
        "invalid_idempotency_key",
        "must have 1 to 255 printable ASCII characters",
    )))
}

/// What a repetition must have in common with the first: all that the publisher said. A time that
/// was left out stays left out, or no repetition would ever be one.
fn fingerprint(publish: &Publish) -> String {
    let mut digest = Sha256::new();
    let timestamp = publish
        .timestamp
        .map(|time| time.timestamp_millis().to_string());
    let parts = [
        Some(publish.event.as_str()),
        timestamp.as_deref(),
        publish.ordering_key.as_deref(),
        Some(publish.data.get()),
    ];
    for part in parts {
        // The length in front keeps neighbours apart.
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        digest.update(length.to_be_bytes());
        digest.update(part.unwrap_or_default());
    }
    hex(&digest.finalize())
}
