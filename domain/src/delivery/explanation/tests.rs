use chrono::TimeZone;

use super::*;
use crate::{
    actor::ActorKind,
    delivery::{
        Scheduled,
        attempt::{Failure, FailureCode, ResponseHead},
    },
    ids::{AttemptId, MessageId, WebhookId},
    webhook,
};

fn at(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_800_000_000 + seconds, 0).unwrap()
}

fn ann() -> Actor {
    Actor {
        kind: ActorKind::Token,
        id: "tok_1".into(),
        name: "Ann".into(),
    }
}

fn system() -> Actor {
    Actor::system("deliver")
}

/// One that starts then, takes a second and is answered so.
fn attempt(number: u32, trigger: Trigger, seconds: i64, status: u16) -> Attempt {
    Attempt {
        id: AttemptId::default(),
        number,
        message_id: MessageId::default(),
        webhook_id: WebhookId::default(),
        topic: Topic::default(),
        webhook_version: u64::from(number),
        trigger,
        started_at: at(seconds),
        duration_ms: 1000,
        url: "https://example.com/".to_owned(),
        response: Some(ResponseHead {
            status,
            headers: [("retry-after".to_owned(), "60".to_owned())].into(),
            body_bytes: 0,
            body_sha256: String::new(),
            body_truncated: false,
        }),
        failure: (status != 200).then(|| Failure {
            code: FailureCode::HttpStatus,
            message: format!("the receiver answered {status}"),
        }),
    }
}

fn scheduled(trigger: Trigger) -> Event {
    Event::Scheduled(Scheduled {
        trigger,
        due_at: at(0),
        ..Scheduled::default()
    })
}

fn failed(attempt: Attempt, next: i64) -> Event {
    Event::AttemptFailed {
        attempt,
        next_attempt_at: at(next),
    }
}

fn requested(trigger: Trigger, seconds: i64) -> Event {
    Event::AttemptRequested {
        trigger,
        at: at(seconds),
    }
}

/// A story of events, each with the second in which it was recorded.
fn story(events: Vec<(Event, i64, Actor)>) -> Story {
    let mut story = Story::default();
    for (event, seconds, actor) in events {
        story.tell(event, at(seconds), &actor);
    }
    story
}

fn lines(told: &Told) -> Vec<(i64, &str)> {
    let second = |step: &Step| (step.at - at(0)).num_seconds();
    told.steps
        .iter()
        .map(|step| (second(step), step.summary.as_str()))
        .collect()
}

fn waits(told: &Told) -> Vec<(i64, Option<i64>, WaitReason)> {
    let second = |time: DateTime<Utc>| (time - at(0)).num_seconds();
    told.steps
        .iter()
        .filter_map(|step| match step.kind {
            StepKind::Wait { until, reason } => Some((second(step.at), until.map(second), reason)),
            _ => None,
        })
        .collect()
}

#[test]
fn retries_and_a_redelivery_are_told_in_order() {
    let story = story(vec![
        (scheduled(Trigger::Publish), 0, ann()),
        (failed(attempt(1, Trigger::Publish, 0, 500), 6), 1, system()),
        (requested(Trigger::Redeliver, 3), 3, ann()),
        // One of the schedule fails meanwhile: what was asked for is said again.
        (failed(attempt(2, Trigger::Retry, 6, 503), 67), 7, system()),
        (requested(Trigger::Redeliver, 3), 7, system()),
        (
            Event::Succeeded {
                attempt: attempt(3, Trigger::Redeliver, 7, 200),
            },
            8,
            system(),
        ),
    ]);
    assert_eq!(story.versions(), &BTreeSet::from([1, 2, 3]));
    assert_eq!(story.delivery().status(), Status::Succeeded);
    let told = story.finish(&Holds::default(), at(1000));
    assert_eq!(
        lines(&told),
        [
            (0, "Ann published the message; the delivery was scheduled"),
            (
                0,
                "Attempt 1 failed after 1000 ms: the receiver answered 500"
            ),
            (
                1,
                "The schedule says to wait until 2027-01-15T08:00:06.000Z"
            ),
            (3, "Ann asked to send it again"),
            (
                3,
                "It waited until 2027-01-15T08:00:07.000Z: it was not its turn"
            ),
            (
                6,
                "Attempt 2 failed after 1000 ms: the receiver answered 503"
            ),
            (
                7,
                "The receiver asked to wait until 2027-01-15T08:01:07.000Z"
            ),
            (
                7,
                "Attempt 3 succeeded after 1000 ms: the receiver answered 200"
            ),
        ]
    );
    let end = told.end.unwrap();
    assert_eq!((end.at, end.how), (at(8), Status::Succeeded));
    assert_eq!(
        end.because,
        "attempt 3 succeeded: the receiver answered 200"
    );
    assert!(!told.is_truncated);
}

#[test]
fn what_held_it_back_is_told_as_far_as_it_is_known() {
    let mut holds = Holds::default();
    holds.note(Hold::Inactive, true, at(-10));
    holds.note(Hold::Inactive, true, at(-5));
    holds.note(Hold::Inactive, false, at(20));
    holds.note(Hold::Suspended, true, at(15));
    holds.note(Hold::Suspended, false, at(30));
    holds.note(Hold::Suspended, true, at(50));
    let events = |trigger, first, second| {
        story(vec![
            (scheduled(trigger), 0, ann()),
            (failed(attempt(1, trigger, first, 500), 40), first, system()),
            (
                failed(attempt(2, Trigger::Retry, second, 500), 45),
                second,
                system(),
            ),
        ])
    };
    use WaitReason::{Inactive, Queued, Schedule, Suspended};
    let told = events(Trigger::Publish, 35, 41).finish(&holds, at(60));
    let expected = [
        (0, Some(15), Inactive),
        (15, Some(30), Suspended),
        (30, Some(35), Queued),
        (36, Some(40), Schedule),
        (42, Some(45), Schedule),
        (45, Some(50), Queued),
        (50, None, Suspended),
    ];
    assert_eq!(waits(&told), expected);
    assert_eq!(told.end, None);
    // A test does not mind that the webhook is off; a second is no wait.
    let told = events(Trigger::Test, 31, 41).finish(&holds, at(46));
    let expected = [
        (0, Some(15), Queued),
        (15, Some(30), Suspended),
        (32, Some(40), Schedule),
        (42, Some(45), Schedule),
    ];
    assert_eq!(waits(&told), expected);
    let told = story(vec![(scheduled(Trigger::Publish), 0, ann())]);
    assert!(!told.has_waited(at(1)));
    assert!(told.has_waited(at(2)));
    let told = told.finish(&Holds::default(), at(2));
    assert_eq!(waits(&told), [(0, None, Queued)]);
    assert_eq!(
        told.steps[1].summary,
        "It is due: it waits for its turn, or an attempt is under way"
    );
}

#[test]
fn every_end_has_its_reason() {
    let cancelled = |reason| Event::Cancelled { reason };
    for (event, actor, how, because) in [
        (
            cancelled(CancelReason::Requested),
            ann(),
            Status::Cancelled,
            "Ann cancelled it",
        ),
        (
            cancelled(CancelReason::WebhookDeleted),
            system(),
            Status::Cancelled,
            "Hookledger cancelled it: the webhook was deleted",
        ),
        (
            Event::Exhausted {
                attempt: attempt(1, Trigger::Test, 0, 500),
            },
            system(),
            Status::Exhausted,
            "attempt 1 was the last one and failed: the receiver answered 500",
        ),
    ] {
        let story = story(vec![
            (scheduled(Trigger::Test), 0, ann()),
            (event, 1, actor),
        ]);
        let told = story.finish(&Holds::default(), at(100));
        let summary = &told.steps[0].summary;
        assert!(summary.starts_with("Ann asked for a test"), "{summary}");
        let end = told.end.unwrap();
        assert_eq!((end.how, end.because.as_str()), (how, because));
        assert_eq!(
            waits(&Told {
                end: None,
                steps: told.steps,
                is_truncated: false
            }),
            []
        );
    }
}

#[test]
fn what_people_do_is_told_with_their_names() {
    let reason = CancelReason::WebhookDeleted;
    let mut story = story(vec![
        (scheduled(Trigger::Publish), 0, Actor::platform()),
        (
            Event::Exhausted {
                attempt: attempt(1, Trigger::Publish, 0, 500),
            },
            1,
            system(),
        ),
        (requested(Trigger::Recover, 5), 5, ann()),
        (Event::RequestWithdrawn { reason }, 6, system()),
        (
            Event::ResponseBodyErased {
                attempt_id: AttemptId::default(),
            },
            7,
            ann(),
        ),
    ]);
    story.tell_of_erased_message(at(8), &ann());
    let told = story.finish(&Holds::default(), at(100));
    let summaries: Vec<_> = lines(&told).into_iter().skip(2).collect();
    assert_eq!(
        summaries,
        [
            (5, "Ann started a recovery that sends it again"),
            (
                6,
                "Hookledger withdrew the request: the webhook was deleted"
            ),
            (7, "Ann erased the body of an answer"),
            (8, "Ann erased the body of the message"),
        ]
    );
}

#[test]
fn a_long_story_is_cut_and_its_end_is_known() {
    let mut events = vec![(scheduled(Trigger::Publish), 0, ann())];
    for number in 1..=1500 {
        let attempt = attempt(number, Trigger::Redeliver, i64::from(number), 500);
        let next_attempt_at = None;
        let event = Event::ExtraAttemptFailed {
            attempt,
            next_attempt_at,
        };
        events.push((event, i64::from(number), system()));
    }
    let reason = CancelReason::Requested;
    events.push((Event::Cancelled { reason }, 2000, ann()));
    let story = story(events);
    assert_eq!(story.versions().len(), VERSIONS_MAX);
    let told = story.finish(&Holds::default(), at(3000));
    assert_eq!(told.steps.len(), STEPS_MAX);
    assert!(told.is_truncated);
    assert_eq!(told.end.unwrap().how, Status::Cancelled);
}

#[test]
fn the_first_pattern_that_matches_is_named() {
    let mut webhook = Webhook::default();
    webhook.apply(webhook::Event::Registered {
        tenant_id: "acme".parse().unwrap(),
        config: webhook::Config {
            events: ["service.*", "ticket.*", "*"]
                .map(|pattern| pattern.parse().unwrap())
                .to_vec(),
            filter: Some("data.n > 1".to_owned()),
            ..webhook::Config::default()
        },
        is_active: true,
        secret: webhook::SealedSecret::default(),
    });
    let topic: Topic = "ticket.updated".parse().unwrap();
    let matched = Matched::of(&webhook, &topic, false);
    assert_eq!(matched.pattern, Some("ticket.*".parse().unwrap()));
    assert_eq!(matched.events.len(), 3);
    assert_eq!(matched.filter.as_deref(), Some("data.n > 1"));
    assert_eq!(Matched::of(&webhook, &topic, true).pattern, None);
}
