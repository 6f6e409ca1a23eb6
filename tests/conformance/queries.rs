//! Every question that may be asked of the views, with every filter and page, beside what a plain
//! search of the same history finds.

use std::fmt::Debug;

use hookledger::store::{Commit, LoggedAttempt, Store, WebhookSecrets};
use hookledger_domain::{
    actor::Origin,
    delivery::Status,
    ids::{AttemptId, DeliveryId, Sequence, TokenId, WebhookId},
    permission::Role,
    sealed::Sealed,
    tenant::{self, IssuedToken},
    topic::{self, Topic},
    vault,
    webhook::{self, Config, PreviousSecret, SealedSecret},
};
use hookledger_projections::{
    query::{AttemptFilter, DeliveryFilter, Page, Rows, Span},
    rows::{DeliveryRow, Secrets, TenantRow, TokenRow, TopicRow, WebhookRow},
};
use rand::{Rng, seq::IndexedRandom};

use super::{
    DateTime, Engine, Fact, TenantId, Utc, at, first, open, origin,
    world::{TOPICS, World},
};

/// How many different questions each list is asked.
const QUESTIONS: usize = 300;

/// Turns the pages of a list of `limit` rows a page until its end.
macro_rules! turn {
    ($limit:expr, $ask:expr) => {{
        let (limit, mut rows, mut after) = ($limit, Vec::new(), None);
        loop {
            let page: Rows<_, _> = $ask(Page { limit, after }).await.unwrap();
            check_page(&page, limit);
            rows.extend(page.rows);
            after = page.next;
            if after.is_none() {
                break rows;
            }
        }
    }};
}

fn check_page<Row, Id: Debug>(page: &Rows<Row, Id>, limit: u32) {
    assert!(page.rows.len() <= limit as usize);
    let is_last = page.next.is_none();
    assert!(
        is_last || page.rows.len() == limit as usize,
        "a page in between is full"
    );
}

impl World {
    fn maybe<T>(&mut self, share: f64, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.random.random_bool(share).then(|| make(self))
    }

    fn moment(&mut self) -> DateTime<Utc> {
        let span = (self.now() - at(0)).num_milliseconds();
        at(self.random.random_range(-10..span + 10))
    }

    fn span(&mut self) -> Span {
        Span {
            from: self.maybe(0.2, Self::moment),
            to: self.maybe(0.2, Self::moment),
        }
    }

    fn any_tenant(&mut self) -> TenantId {
        self.tenants.choose(&mut self.random).unwrap().clone()
    }

    /// A webhook, not always one of the tenant that asks.
    fn any_webhook(&mut self) -> WebhookId {
        let of_one: &Vec<WebhookId> = self.webhooks.choose(&mut self.random).unwrap();
        *of_one.choose(&mut self.random).unwrap()
    }

    fn any_topic(&mut self) -> Topic {
        TOPICS.choose(&mut self.random).unwrap().parse().unwrap()
    }

    fn any_delivery(&mut self) -> DeliveryRow {
        self.deliveries.choose(&mut self.random).unwrap().clone()
    }

    fn limit(&mut self) -> u32 {
        *[1, 2, 3, 7, 50, 200].choose(&mut self.random).unwrap()
    }
}

fn is_within(time: DateTime<Utc>, span: &Span) -> bool {
    span.from.is_none_or(|from| from <= time) && span.to.is_none_or(|to| time < to)
}

pub(super) async fn deliveries_answer_every_filter<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let views = store.views();
    let mut world = World::half_settled(&engine, &store, 21, 300).await;
    let mut hits = 0;
    for _ in 0..QUESTIONS {
        let (tenant_id, limit) = (world.any_tenant(), world.limit());
        let filter = DeliveryFilter {
            webhook_id: world.maybe(0.3, World::any_webhook),
            topic: world.maybe(0.3, World::any_topic),
            status: world.maybe(0.4, |world| *Status::ALL.choose(&mut world.random).unwrap()),
            message_id: world.maybe(0.1, |world| world.any_delivery().message_id),
            created: world.span(),
        };
        let found = turn!(limit, |page| views.deliveries(&tenant_id, &filter, page));
        let mut expected = world.deliveries.clone();
        expected.retain(|row| {
            row.tenant_id == tenant_id
                && filter.webhook_id.is_none_or(|id| id == row.webhook_id)
                && filter
                    .topic
                    .as_ref()
                    .is_none_or(|topic| *topic == row.topic)
                && filter.status.is_none_or(|status| status == row.status)
                && filter.message_id.is_none_or(|id| id == row.message_id)
                && is_within(row.created_at, &filter.created)
        });
        expected.sort_by_key(|row| std::cmp::Reverse(row.id));
        assert_eq!(found, expected, "{filter:?} in pages of {limit}");
        hits += found.len();
    }
    assert!(
        hits > QUESTIONS,
        "{hits} rows: the questions find too little"
    );
    store.close().await;
}

pub(super) async fn attempts_answer_every_filter<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let views = store.views();
    let mut world = World::half_settled(&engine, &store, 22, 300).await;
    let mut hits = 0;
    for _ in 0..QUESTIONS {
        let (tenant_id, limit) = (world.any_tenant(), world.limit());
        let filter = AttemptFilter {
            webhook_id: world.maybe(0.3, World::any_webhook),
            topic: world.maybe(0.3, World::any_topic),
            succeeded: world.maybe(0.3, |world| world.random.random()),
            response_status: world.maybe(0.2, |world| {
                *[200, 204, 404, 500, 599].choose(&mut world.random).unwrap()
            }),
            delivery_id: world.maybe(0.1, |world| world.any_delivery().id),
            message_id: world.maybe(0.1, |world| world.any_delivery().message_id),
            started: world.span(),
        };
        let found = turn!(limit, |page| views.attempts(&tenant_id, &filter, page));
        let mut expected = world.attempts.clone();
        expected.retain(|attempt| attempt.row.tenant_id == tenant_id && is_meant(attempt, &filter));
        expected.sort_by_key(|attempt| std::cmp::Reverse(attempt.row.id));
        assert_eq!(found, expected, "{filter:?} in pages of {limit}");
        hits += found.len();
    }
    assert!(
        hits > QUESTIONS,
        "{hits} rows: the questions find too little"
    );
    store.close().await;
}

fn is_meant(attempt: &LoggedAttempt, filter: &AttemptFilter) -> bool {
    let row = &attempt.row;
    let status = row.response.as_ref().map(|response| response.status);
    filter.webhook_id.is_none_or(|id| id == row.webhook_id)
        && filter
            .topic
            .as_ref()
            .is_none_or(|topic| *topic == row.topic)
        && filter
            .succeeded
            .is_none_or(|succeeded| succeeded == row.error.is_none())
        && filter
            .response_status
            .is_none_or(|wanted| Some(wanted) == status)
        && filter.delivery_id.is_none_or(|id| id == row.delivery_id)
        && filter.message_id.is_none_or(|id| id == row.message_id)
        && is_within(row.started_at, &filter.started)
}

pub(super) async fn messages_come_in_pages<E: Engine>() {
    let (engine, store) = open::<E>().await;
    let views = store.views();
    let world = World::half_settled(&engine, &store, 23, 120).await;
    for tenant_id in &world.tenants {
        let mut expected = world.messages.clone();
        expected.retain(|message| message.row.tenant_id == *tenant_id);
        expected.sort_by_key(|message| std::cmp::Reverse(message.row.id));
        for limit in [1, 7, 200] {
            let found = turn!(limit, |page| views.messages(tenant_id, page));
            assert_eq!(found, expected);
        }
    }
    store.close().await;
}

pub(super) async fn single_rows_are_found_by_their_tenant_only<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let world = World::build(&store, 24, 40).await;
    let views = store.views();
    for tenant_id in &world.tenants {
        for message in &world.messages {
            let expected = (message.row.tenant_id == *tenant_id).then_some(message);
            assert_eq!(
                views
                    .message(tenant_id, message.row.id)
                    .await
                    .unwrap()
                    .as_ref(),
                expected
            );
            if let Some(idempotency) = &message.row.idempotency {
                let found = views
                    .message_by_key(tenant_id, &idempotency.key)
                    .await
                    .unwrap();
                assert_eq!(found.as_ref(), expected);
            }
        }
        for row in &world.deliveries {
            let expected = (row.tenant_id == *tenant_id).then_some(row);
            assert_eq!(
                views.delivery(tenant_id, row.id).await.unwrap().as_ref(),
                expected
            );
        }
    }
    assert_eq!(
        views
            .delivery(&world.tenants[0], DeliveryId::default())
            .await
            .unwrap(),
        None
    );
    let of_nobody = AttemptFilter::default();
    let page: Page<AttemptId> = first(50);
    assert_eq!(
        views
            .attempts(&super::tenant("nobody"), &of_nobody, page)
            .await
            .unwrap()
            .rows,
        []
    );
    store.close().await;
}

/// Appends events of one aggregate, from the first one on.
pub(super) async fn append(
    store: &Store,
    tenant_id: &TenantId,
    id: impl ToString,
    facts: impl IntoIterator<Item = Fact>,
) {
    let id = id.to_string();
    for (index, fact) in facts.into_iter().enumerate() {
        let mut commit = Commit::new(&origin(tenant_id), at(1000 * index as i64));
        commit.push(&id, index as u64 + 1, &fact).unwrap();
        store.ledger().commit(commit).await.unwrap();
    }
}

fn token(number: u128) -> IssuedToken {
    IssuedToken {
        token_id: TokenId::from_uuid(Sequence::default().next(at(0), number << 40)),
        name: format!("token {number}"),
        role: Role::ALL[number as usize % 4],
        token_sha256: format!("{number:064x}"),
        expires_at: number.is_multiple_of(2).then(|| at(5)),
    }
}

async fn register_tenants(store: &Store, count: usize) -> Vec<TenantRow> {
    let mut rows = Vec::new();
    for number in 0..count {
        let id = super::tenant(&format!("{number:02}-tenant"));
        let mut facts = vec![Fact::from(tenant::Event::Registered {
            name: "Name".to_owned(),
        })];
        if number % 2 == 0 {
            let name = "Other".to_owned();
            let stripe_customer_id = Some("cus_1".to_owned());
            facts.push(tenant::Event::Renamed { name }.into());
            facts.push(tenant::Event::StripeCustomerSet { stripe_customer_id }.into());
            facts.push(tenant::Event::Suspended.into());
        }
        if number % 4 == 0 {
            facts.push(tenant::Event::Resumed.into());
            facts.push(
                tenant::Event::StripeCustomerSet {
                    stripe_customer_id: None,
                }
                .into(),
            );
        }
        append(store, &id, &id, facts).await;
        rows.push(TenantRow {
            id,
            name: if number % 2 == 0 { "Other" } else { "Name" }.to_owned(),
            stripe_customer_id: (number % 4 == 2).then(|| "cus_1".to_owned()),
            is_suspended: number % 4 == 2,
            generation: [2, 0, 1, 0][number % 4],
        });
    }
    rows
}

pub(super) async fn tenants_and_tokens_come_in_pages<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let views = store.views();
    let mut tenants = register_tenants(&store, 11).await;
    let acme = super::tenant("acme");
    let issued: Vec<IssuedToken> = (1..=9).map(token).collect();
    let mut facts = vec![Fact::from(tenant::Event::Registered {
        name: "Acme".to_owned(),
    })];
    facts.extend(
        issued
            .iter()
            .map(|token| tenant::Event::TokenIssued(token.clone()).into()),
    );
    let revoked = issued[4].token_id;
    facts.push(tenant::Event::TokenRevoked { token_id: revoked }.into());
    append(&store, &acme, &acme, facts).await;
    let row = store.views().tenant(&acme).await.unwrap().unwrap();
    tenants.push(row.clone());
    tenants.sort_by(|a, b| b.id.cmp(&a.id));
    let mut tokens: Vec<TokenRow> = issued
        .into_iter()
        .map(|token| TokenRow {
            id: token.token_id,
            tenant_id: acme.clone(),
            name: token.name,
            role: token.role,
            token_sha256: token.token_sha256,
            expires_at: token.expires_at,
        })
        .collect();
    tokens.retain(|token| token.id != revoked);
    tokens.sort_by_key(|token| std::cmp::Reverse(token.id));
    for limit in [1, 4, 200] {
        assert_eq!(turn!(limit, |page| views.tenants(page)), tenants);
        assert_eq!(turn!(limit, |page| views.tokens(&acme, page)), tokens);
    }
    assert_eq!(
        store
            .views()
            .tokens(&tenants[1].id, first(50))
            .await
            .unwrap()
            .rows,
        []
    );
    for token in tokens {
        assert_eq!(
            store.views().token(token.id).await.unwrap(),
            Some((token, row.clone()))
        );
    }
    assert_eq!(store.views().token(revoked).await.unwrap(), None);
    store.close().await;
}

/// The second and the returning one have one.
fn schema(description: &str) -> Option<String> {
    let text = r#"{ "type":"object","b":1.0, "a":"\u0000é" }"#;
    ["second", "gone", "back"]
        .contains(&description)
        .then(|| text.to_owned())
}

pub(super) async fn topics_follow_the_catalogue<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let acme = super::tenant("acme");
    let defined = |description: &str| -> Fact {
        let description = description.to_owned();
        // The text is kept as it is, with the order of its keys.
        let schema = schema(&description);
        topic::Event::Defined {
            description,
            schema,
        }
        .into()
    };
    append(
        &store,
        &acme,
        "b.two",
        [defined("first"), defined("second")],
    )
    .await;
    append(&store, &acme, "a.one", [defined("kept")]).await;
    append(
        &store,
        &acme,
        "c.three",
        [defined("gone"), topic::Event::Removed.into()],
    )
    .await;
    append(
        &store,
        &acme,
        "d.four",
        [defined("x"), topic::Event::Removed.into(), defined("back")],
    )
    .await;
    let row = |name: &str, description: &str| TopicRow {
        name: name.parse().unwrap(),
        description: description.to_owned(),
        schema: schema(description),
    };
    let expected = [
        row("a.one", "kept"),
        row("b.two", "second"),
        row("d.four", "back"),
    ];
    assert_eq!(store.views().topics().await.unwrap(), expected);
    store.close().await;
}

pub(super) fn webhook_id(number: u128) -> WebhookId {
    WebhookId::from_uuid(Sequence::default().next(at(0), number << 40))
}

fn secret(version: u64) -> SealedSecret {
    let sealed = Sealed::from_text(format!("k.{version}"));
    SealedSecret { version, sealed }
}

fn resealed(version: u64) -> SealedSecret {
    let sealed = Sealed::from_text(format!("n.{version}"));
    SealedSecret { version, sealed }
}

fn config(name: &str) -> Config {
    Config {
        name: name.to_owned(),
        url: "https://example.com".to_owned(),
        events: vec!["ticket.*".parse().unwrap()],
        headers: [("x-a".to_owned(), "b".to_owned())].into(),
        rate_limit: Some(7),
        retry_schedule: Some(vec![]),
        ..Config::default()
    }
}

pub(super) fn registered(tenant_id: &TenantId) -> Fact {
    let event = webhook::Event::Registered {
        tenant_id: tenant_id.clone(),
        config: config("first"),
        is_active: true,
        secret: secret(1),
    };
    event.into()
}

pub(super) async fn webhooks_show_what_happened_last<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let (acme, views) = (super::tenant("acme"), store.views());
    let previous = vec![PreviousSecret {
        secret: secret(1),
        expires_at: at(86_400_000),
    }];
    let facts = [
        registered(&acme),
        webhook::Event::Deactivated.into(),
        webhook::Event::Changed {
            config: config("second"),
        }
        .into(),
        webhook::Event::SecretRotated {
            secret: secret(2),
            previous: previous.clone(),
        }
        .into(),
        webhook::Event::Activated.into(),
        webhook::Event::SecretsResealed {
            secret: resealed(2),
            previous: vec![PreviousSecret {
                secret: resealed(1),
                ..previous[0].clone()
            }],
        }
        .into(),
    ];
    append(&store, &acme, webhook_id(1), facts).await;
    append(&store, &acme, webhook_id(2), [registered(&acme)]).await;
    append(
        &store,
        &acme,
        webhook_id(3),
        [registered(&acme), webhook::Event::Deleted.into()],
    )
    .await;
    let newest = WebhookRow {
        id: webhook_id(2),
        tenant_id: acme.clone(),
        config: config("first"),
        is_active: true,
        disabled_reason: None,
        failing_since: None,
        secrets: Secrets {
            current: secret(1),
            previous: Vec::new(),
        },
        created_at: at(0),
        updated_at: at(0),
        version: 1,
        is_deleted: false,
    };
    let changed = WebhookRow {
        id: webhook_id(1),
        config: config("second"),
        secrets: Secrets {
            current: resealed(2),
            previous: vec![PreviousSecret {
                secret: resealed(1),
                ..previous[0].clone()
            }],
        },
        updated_at: at(5000),
        version: 6,
        ..newest.clone()
    };
    let deleted = WebhookRow {
        id: webhook_id(3),
        updated_at: at(1000),
        version: 2,
        is_deleted: true,
        ..newest.clone()
    };
    assert_eq!(
        views.webhooks(&acme).await.unwrap(),
        [newest, changed.clone()]
    );
    assert_eq!(
        views.webhook(&acme, changed.id).await.unwrap(),
        Some(changed)
    );
    assert_eq!(
        views.webhook(&acme, deleted.id).await.unwrap(),
        Some(deleted),
        "its logs stay reachable"
    );
    assert_eq!(
        views
            .webhook(&super::tenant("other"), webhook_id(1))
            .await
            .unwrap(),
        None
    );
    assert_eq!(views.webhooks(&super::tenant("other")).await.unwrap(), []);
    store.close().await;
}

pub(super) async fn the_secrets_of_all_webhooks_come_in_pages<E: Engine>() {
    let (_engine, store) = open::<E>().await;
    let views = store.views();
    assert_eq!(views.webhook_secrets(None, 10).await.unwrap(), []);
    let mut expected = Vec::new();
    // Neither the tenants nor the webhooks come in their order.
    for (tenant, number) in [("b", 3), ("a", 5), ("b", 1), ("a", 4), ("c-1", 2), ("c", 6)] {
        let tenant_id = super::tenant(tenant);
        append(
            &store,
            &tenant_id,
            webhook_id(number),
            [registered(&tenant_id)],
        )
        .await;
        expected.push(WebhookSecrets {
            tenant_id,
            webhook_id: webhook_id(number),
            secrets: Secrets {
                current: secret(1),
                previous: Vec::new(),
            },
        });
    }
    let gone = super::tenant("b");
    let deleted = [registered(&gone), webhook::Event::Deleted.into()];
    append(&store, &gone, webhook_id(7), deleted).await;
    expected.sort_by_key(|row| (row.tenant_id.clone(), row.webhook_id));
    for limit in [1, 2, 3, 6, 7] {
        let (mut found, mut after): (Vec<WebhookSecrets>, _) = (Vec::new(), None);
        loop {
            let page = views.webhook_secrets(after, limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            found.extend(page.iter().cloned());
            if page.is_empty() {
                break;
            }
            after = found.last().map(|last| (&last.tenant_id, last.webhook_id));
        }
        assert_eq!(found, expected, "in pages of {limit}");
    }
    store.close().await;
}

/// Rows in the views that a [`World`] has nothing in.
pub(super) async fn a_little_of_everything(store: &Store) {
    register_tenants(store, 5).await;
    let acme = super::tenant("acme");
    let registered_tenant = tenant::Event::Registered {
        name: "Acme".to_owned(),
    };
    append(
        store,
        &acme,
        &acme,
        [
            registered_tenant.into(),
            tenant::Event::TokenIssued(token(1)).into(),
        ],
    )
    .await;
    append(
        store,
        &acme,
        webhook_id(1),
        [
            registered(&acme),
            webhook::Event::Deactivated.into(),
            webhook::Event::Activated.into(),
            webhook::Event::Disabled {
                reason: webhook::DisableReason::Gone,
            }
            .into(),
        ],
    )
    .await;
    super::steering::a_recovery(store, &acme).await;
    super::billing::a_little(store, &acme).await;
    let defined = topic::Event::Defined {
        description: "d".to_owned(),
        schema: schema("back"),
    };
    append(store, &acme, "a.b", [defined.into()]).await;
    let of_nobody = Origin {
        tenant: None,
        ..origin(&acme)
    };
    let mut commit = Commit::new(&of_nobody, at(0));
    let key_id = "k".to_owned();
    let adopted = vault::Event::KeyAdopted { key_id }.into();
    commit.push(vault::ID, 1, &adopted).unwrap();
    store.ledger().commit(commit).await.unwrap();
}
