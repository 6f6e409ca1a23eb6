use std::sync::Arc;

use chrono::TimeZone;
use cqrs_es::{Aggregate, test::TestFramework};

use super::*;
use crate::{
    ids::Sequence,
    sealed::Sealed,
    topic::Catalogue,
    webhook::{self, Changes, Config, Rules, SealedSecret},
};

fn webhook(events: &[&str], is_active: bool) -> Webhook {
    let rules = Rules {
        policy: Arc::default(),
        catalogue: Arc::new(Catalogue::new([])),
    };
    let changes = Changes {
        name: Some("n".to_owned()),
        url: Some("https://example.com/".to_owned()),
        events: Some(events.iter().map(ToString::to_string).collect()),
        ..Changes::default()
    };
    let mut webhook = Webhook::default();
    webhook.apply(webhook::Event::Registered {
        tenant_id: "acme".parse().unwrap(),
        config: changes.apply_to(Config::default(), &rules).unwrap(),
        is_active,
        secret: SealedSecret {
            version: 1,
            sealed: Sealed::default(),
        },
    });
    webhook
}

fn ids<const N: usize>() -> [WebhookId; N] {
    let mut sequence = Sequence::default();
    let now = Utc.timestamp_millis_opt(1_800_000_000_000).unwrap();
    std::array::from_fn(|_| WebhookId::from_uuid(sequence.next(now, 7)))
}

#[test]
fn each_webhook_gets_it_or_the_reason_is_kept() {
    let [a, b, c] = ids();
    let webhooks = [
        (a, webhook(&["ticket.*"], true)),
        (b, webhook(&["service.updated"], true)),
        (c, webhook(&["*"], false)),
    ];
    let fan_out = fan_out(
        &"ticket.updated".parse().unwrap(),
        webhooks.iter().map(|(id, webhook)| (*id, webhook)),
        DeliveryId::default,
    );
    assert_eq!(
        fan_out
            .deliveries
            .iter()
            .map(|d| d.webhook_id)
            .collect::<Vec<_>>(),
        [a]
    );
    let skipped: Vec<_> = fan_out
        .not_delivered
        .iter()
        .map(|skipped| (skipped.webhook_id, skipped.reason))
        .collect();
    assert_eq!(
        skipped,
        [(b, SkipReason::NotSubscribed), (c, SkipReason::Inactive)]
    );
}

#[test]
fn what_filters_do_not_want_is_not_delivered() {
    let [a, b, c, d, e] = ids();
    let webhooks = [a, b, c, d, e].map(|id| (id, webhook(&["*"], id != b)));
    let mut fan_out = fan_out(
        &"ticket.updated".parse().unwrap(),
        webhooks.iter().map(|(id, webhook)| (*id, webhook)),
        DeliveryId::default,
    );
    let mut asked = Vec::new();
    fan_out.filter(|id| {
        asked.push(id);
        if id == a {
            Some(Ok(false))
        } else if id == d {
            Some(Err(filter::Failure::NoSuchKey("data.x".to_owned())))
        } else {
            (id == e).then_some(Ok(true))
        }
    });
    assert_eq!(asked, [a, c, d, e], "nobody else is a receiver");
    let receivers = fan_out.deliveries.iter().map(|to| to.webhook_id);
    assert_eq!(receivers.collect::<Vec<_>>(), [c, e]);
    let skipped = |webhook_id, reason, detail: Option<&str>| Skipped {
        webhook_id,
        reason,
        detail: detail.map(str::to_owned),
    };
    let expected = [
        skipped(a, SkipReason::Filtered, None),
        skipped(b, SkipReason::Inactive, None),
        skipped(d, SkipReason::Filtered, Some("there is no data.x")),
    ];
    assert_eq!(fan_out.not_delivered, expected);
}

/// Messages that older versions accepted are read, and new ones read back.
#[test]
fn reasons_are_kept_in_one_word() {
    let fan_out: FanOut = serde_json::from_str(
        r#"{"deliveries":[],"not_delivered":[{"webhook_id":"wh_00000000000000000000000000000000","reason":"inactive"}]}"#,
    )
    .unwrap();
    assert_eq!(fan_out.not_delivered[0].reason, SkipReason::Inactive);
    for reason in [
        SkipReason::NotSubscribed,
        SkipReason::Inactive,
        SkipReason::Filtered,
    ] {
        let word = serde_json::to_value(reason).unwrap();
        assert_eq!(word, reason.as_str());
    }
}

#[test]
fn a_message_is_accepted_once() {
    let accepted = Accepted::default();
    TestFramework::<Message>::with(())
        .given_no_previous_events()
        .when(Command::Accept(accepted.clone()))
        .then_expect_events(vec![Event::Accepted(accepted.clone())]);
    TestFramework::<Message>::with(())
        .given(vec![Event::Accepted(accepted.clone())])
        .when(Command::Accept(accepted))
        .then_expect_error(Error::AlreadyAccepted);
}

#[test]
fn a_body_over_the_limit_is_refused() {
    TestFramework::<Message>::with(())
        .given_no_previous_events()
        .when(Command::Accept(Accepted {
            body_bytes: BODY_BYTES_MAX as u64 + 1,
            ..Accepted::default()
        }))
        .then_expect_error(Error::TooLarge {
            bytes: BODY_BYTES_MAX as u64 + 1,
        });
}

#[test]
fn a_body_is_erased_once() {
    let accepted = Event::Accepted(Accepted::default());
    TestFramework::<Message>::with(())
        .given(vec![accepted.clone()])
        .when(Command::EraseBody)
        .then_expect_events(vec![Event::BodyErased]);
    TestFramework::<Message>::with(())
        .given(vec![accepted, Event::BodyErased])
        .when(Command::EraseBody)
        .then_expect_events(vec![]);
}

#[test]
fn what_was_never_accepted_has_no_body() {
    TestFramework::<Message>::with(())
        .given_no_previous_events()
        .when(Command::EraseBody)
        .then_expect_error(Error::NotFound);
}

#[test]
fn an_erased_message_stays_its_tenants() {
    let mut message = Message::default();
    assert_eq!(message.tenant_id(), None);
    let tenant_id: TenantId = "acme".parse().unwrap();
    message.apply(Event::Accepted(Accepted {
        tenant_id: tenant_id.clone(),
        ..Accepted::default()
    }));
    message.apply(Event::BodyErased);
    assert_eq!(message.tenant_id(), Some(&tenant_id));
}
