use std::time::Duration;

use chrono::TimeZone;
use cqrs_es::test::TestFramework;

use super::{
    attempt::{Failure, FailureCode},
    *,
};
use crate::{ids::AttemptId, retry::Schedule};

fn framework() -> TestFramework<Delivery> {
    TestFramework::with(())
}

fn at(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_800_000_000 + seconds, 0).unwrap()
}

fn scheduled(trigger: Trigger) -> Event {
    Event::Scheduled(Scheduled {
        trigger,
        due_at: at(0),
        ..Scheduled::default()
    })
}

fn attempt(number: u32, succeeds: bool) -> Attempt {
    Attempt {
        id: AttemptId::default(),
        number,
        message_id: MessageId::default(),
        webhook_id: WebhookId::default(),
        topic: Topic::default(),
        webhook_version: 1,
        trigger: Trigger::Publish,
        started_at: at(0),
        duration_ms: 1000,
        url: "https://example.com/".to_owned(),
        response: None,
        failure: (!succeeds).then(|| Failure {
            code: FailureCode::Timeout,
            message: "no answer".to_owned(),
        }),
    }
}

fn record(attempt: Attempt) -> Command {
    Command::RecordAttempt {
        attempt,
        schedule: Schedule::new([Duration::from_secs(5)], 0.0),
        random: 0.5,
    }
}

#[test]
fn a_failed_attempt_is_followed_by_another_after_the_wait() {
    framework()
        .given(vec![scheduled(Trigger::Publish)])
        .when(record(attempt(1, false)))
        .then_expect_events(vec![Event::AttemptFailed {
            attempt: attempt(1, false),
            next_attempt_at: at(6),
        }]);
}

#[test]
fn the_last_failed_attempt_exhausts_the_delivery() {
    let failed = Event::AttemptFailed {
        attempt: attempt(1, false),
        next_attempt_at: at(6),
    };
    framework()
        .given(vec![scheduled(Trigger::Publish), failed])
        .when(record(attempt(2, false)))
        .then_expect_events(vec![Event::Exhausted {
            attempt: attempt(2, false),
        }]);
}

#[test]
fn a_test_is_tried_once() {
    framework()
        .given(vec![scheduled(Trigger::Test)])
        .when(record(attempt(1, false)))
        .then_expect_events(vec![Event::Exhausted {
            attempt: attempt(1, false),
        }]);
}

fn by_hand(number: u32, succeeds: bool) -> Attempt {
    Attempt {
        trigger: Trigger::Redeliver,
        ..attempt(number, succeeds)
    }
}

fn requested(seconds: i64) -> Event {
    Event::AttemptRequested {
        trigger: Trigger::Redeliver,
        at: at(seconds),
    }
}

fn request(seconds: i64, unless_since: Option<i64>) -> Command {
    Command::RequestAttempt {
        trigger: Trigger::Redeliver,
        now: at(seconds),
        unless_since: unless_since.map(at),
    }
}

fn ends() -> [(Event, Status); 3] {
    [
        (
            Event::Succeeded {
                attempt: attempt(1, true),
            },
            Status::Succeeded,
        ),
        (
            Event::Exhausted {
                attempt: attempt(1, false),
            },
            Status::Exhausted,
        ),
        (
            Event::Cancelled {
                reason: CancelReason::Requested,
            },
            Status::Cancelled,
        ),
    ]
}

fn state(events: impl IntoIterator<Item = Event>) -> Delivery {
    let mut delivery = Delivery::default();
    for event in events {
        cqrs_es::Aggregate::apply(&mut delivery, event);
    }
    delivery
}

#[test]
fn what_has_ended_cannot_be_cancelled() {
    for (end, status) in ends() {
        framework()
            .given(vec![scheduled(Trigger::Publish), end])
            .when(Command::Cancel {
                reason: CancelReason::Requested,
            })
            .then_expect_error(Error::Ended { status });
    }
}

#[test]
fn an_attempt_that_ends_after_its_delivery_is_recorded_all_the_same() {
    let cancelled = || {
        vec![
            scheduled(Trigger::Publish),
            Event::Cancelled {
                reason: CancelReason::Requested,
            },
        ]
    };
    framework()
        .given(cancelled())
        .when(record(attempt(1, false)))
        .then_expect_events(vec![Event::ExtraAttemptFailed {
            attempt: attempt(1, false),
            next_attempt_at: None,
        }]);
    framework()
        .given(cancelled())
        .when(record(attempt(1, true)))
        .then_expect_events(vec![Event::Succeeded {
            attempt: attempt(1, true),
        }]);
}

#[test]
fn whatever_became_of_it_one_more_attempt_can_be_asked_for() {
    framework()
        .given(vec![scheduled(Trigger::Publish)])
        .when(request(1, None))
        .then_expect_events(vec![requested(1)]);
    for (end, status) in ends() {
        framework()
            .given(vec![scheduled(Trigger::Publish), end.clone()])
            .when(request(1, None))
            .then_expect_events(vec![requested(1)]);
        let asked = state([scheduled(Trigger::Publish), end, requested(1)]);
        assert_eq!(asked.status(), status);
        assert_eq!(asked.due_at(), Some(at(1)));
        assert_eq!(asked.next_trigger(), Trigger::Redeliver);
    }
}

#[test]
fn asking_twice_gives_one_attempt() {
    framework()
        .given(vec![scheduled(Trigger::Publish), requested(1)])
        .when(request(2, None))
        .then_expect_events(vec![]);
    let given = || {
        let [_, (exhausted, _), _] = ends();
        let failed = Event::ExtraAttemptFailed {
            attempt: by_hand(2, false),
            next_attempt_at: None,
        };
        vec![scheduled(Trigger::Publish), exhausted, requested(5), failed]
    };
    framework()
        .given(given())
        .when(request(9, Some(5)))
        .then_expect_events(vec![]);
    framework()
        .given(given())
        .when(request(9, Some(6)))
        .then_expect_events(vec![requested(9)]);
}

#[test]
fn an_attempt_by_hand_that_fails_leaves_everything_as_it_was() {
    framework()
        .given(vec![scheduled(Trigger::Publish), requested(0)])
        .when(record(by_hand(1, false)))
        .then_expect_events(vec![Event::ExtraAttemptFailed {
            attempt: by_hand(1, false),
            next_attempt_at: Some(at(0)),
        }]);
    let failed = Event::AttemptFailed {
        attempt: attempt(1, false),
        next_attempt_at: at(6),
    };
    let extra = Event::ExtraAttemptFailed {
        attempt: by_hand(2, false),
        next_attempt_at: Some(at(6)),
    };
    let left = state([scheduled(Trigger::Publish), failed, requested(1), extra]);
    assert_eq!(left.due_at(), Some(at(6)));
    assert_eq!(left.attempts(), 2);
    assert_eq!(left.next_trigger(), Trigger::Retry);
    // The schedule has one wait: after the second of its own attempts it is over.
    framework()
        .given(vec![
            scheduled(Trigger::Publish),
            requested(0),
            Event::ExtraAttemptFailed {
                attempt: by_hand(1, false),
                next_attempt_at: Some(at(0)),
            },
        ])
        .when(record(attempt(2, false)))
        .then_expect_events(vec![Event::AttemptFailed {
            attempt: attempt(2, false),
            next_attempt_at: at(6),
        }]);
}

#[test]
fn what_was_asked_for_while_an_attempt_was_under_way_still_holds_when_that_fails() {
    let given = vec![scheduled(Trigger::Publish), requested(1)];
    let failed = Event::AttemptFailed {
        attempt: attempt(1, false),
        next_attempt_at: at(6),
    };
    framework()
        .given(given.clone())
        .when(record(attempt(1, false)))
        .then_expect_events(vec![failed.clone(), requested(1)]);
    let left = state(given.into_iter().chain([failed, requested(1)]));
    assert_eq!(left.due_at(), Some(at(1)));
    assert_eq!(left.scheduled_at(), Some(at(6)));
}

#[test]
fn a_success_by_hand_ends_the_delivery() {
    let [_, (exhausted, _), _] = ends();
    let events = [scheduled(Trigger::Publish), exhausted, requested(1)];
    framework()
        .given(events.to_vec())
        .when(record(by_hand(2, true)))
        .then_expect_events(vec![Event::Succeeded {
            attempt: by_hand(2, true),
        }]);
    let succeeded = Event::Succeeded {
        attempt: by_hand(2, true),
    };
    let ended = state(events.into_iter().chain([succeeded]));
    assert_eq!((ended.status(), ended.due_at()), (Status::Succeeded, None));
}

#[test]
fn cancelling_takes_back_what_was_asked_for_by_hand() {
    let [_, (exhausted, _), _] = ends();
    let events = [scheduled(Trigger::Publish), exhausted, requested(1)];
    let withdrawn = Event::RequestWithdrawn {
        reason: CancelReason::Requested,
    };
    framework()
        .given(events.to_vec())
        .when(Command::Cancel {
            reason: CancelReason::Requested,
        })
        .then_expect_events(vec![withdrawn.clone()]);
    let left = state(events.into_iter().chain([withdrawn]));
    assert_eq!((left.status(), left.due_at()), (Status::Exhausted, None));
    let cancelled = Event::Cancelled {
        reason: CancelReason::Requested,
    };
    let left = state([scheduled(Trigger::Publish), requested(1), cancelled]);
    assert_eq!(left.due_at(), None);
}

#[test]
fn what_was_under_way_when_it_was_withdrawn_does_not_answer_a_later_request() {
    let [_, (exhausted, _), _] = ends();
    let withdrawn = Event::RequestWithdrawn {
        reason: CancelReason::Requested,
    };
    let started_at = by_hand(2, false).started_at;
    let later = Event::AttemptRequested {
        trigger: Trigger::Redeliver,
        at: started_at + chrono::Duration::seconds(5),
    };
    let events = [
        scheduled(Trigger::Publish),
        exhausted,
        requested(1),
        withdrawn,
        later,
    ];
    let failed = Event::ExtraAttemptFailed {
        attempt: by_hand(2, false),
        next_attempt_at: Some(started_at + chrono::Duration::seconds(5)),
    };
    framework()
        .given(events.to_vec())
        .when(record(by_hand(2, false)))
        .then_expect_events(vec![failed.clone()]);
    let left = state(events.iter().cloned().chain([failed.clone()]));
    assert_eq!(
        left.due_at(),
        Some(started_at + chrono::Duration::seconds(5))
    );
    // By whatever clock the next one starts, it answers it.
    let next = Event::ExtraAttemptFailed {
        attempt: by_hand(3, false),
        next_attempt_at: None,
    };
    let left = state(events.into_iter().chain([failed, next]));
    assert_eq!(left.due_at(), None);
}

#[test]
fn a_receiver_may_put_the_next_attempt_off_but_not_bring_it_forward() {
    let answered = |seconds: &str| Attempt {
        response: Some(attempt::ResponseHead {
            status: 503,
            headers: [("retry-after".to_owned(), seconds.to_owned())].into(),
            body_bytes: 0,
            body_sha256: String::new(),
            body_truncated: false,
        }),
        ..attempt(1, false)
    };
    for (asked_for, next_attempt_at) in [("60", at(61)), ("2", at(6)), ("90000", at(86401))] {
        framework()
            .given(vec![scheduled(Trigger::Publish)])
            .when(record(answered(asked_for)))
            .then_expect_events(vec![Event::AttemptFailed {
                attempt: answered(asked_for),
                next_attempt_at,
            }]);
    }
}

#[test]
fn an_attempt_is_recorded_once() {
    framework()
        .given(vec![scheduled(Trigger::Publish)])
        .when(record(attempt(2, true)))
        .then_expect_error(Error::WrongAttempt { expected: 1 });
}

#[test]
fn nothing_happens_to_an_unknown_delivery() {
    framework()
        .given_no_previous_events()
        .when(record(attempt(1, true)))
        .then_expect_error(Error::NotFound);
}

fn erase(attempt_id: AttemptId) -> Command {
    Command::EraseResponseBody { attempt_id }
}

#[test]
fn what_came_back_is_erased_once_for_each_attempt_wherever_the_delivery_stands() {
    let [first, second] = [1, 2].map(|bits| AttemptId::from_uuid(uuid::Uuid::from_u128(bits)));
    let erased = |attempt_id| Event::ResponseBodyErased { attempt_id };
    for (end, _) in ends() {
        for given in [
            vec![scheduled(Trigger::Publish)],
            vec![scheduled(Trigger::Publish), end.clone()],
            vec![scheduled(Trigger::Publish), end, requested(1)],
        ] {
            framework()
                .given(given.clone())
                .when(erase(first))
                .then_expect_events(vec![erased(first)]);
            let given = [given, vec![erased(first)]].concat();
            framework()
                .given(given.clone())
                .when(erase(first))
                .then_expect_events(vec![]);
            framework()
                .given(given)
                .when(erase(second))
                .then_expect_events(vec![erased(second)]);
        }
    }
    framework()
        .given_no_previous_events()
        .when(erase(first))
        .then_expect_error(Error::NotFound);
}

#[test]
fn a_delivery_goes_on_whatever_of_it_is_erased() {
    let failed = Event::AttemptFailed {
        attempt: attempt(1, false),
        next_attempt_at: at(6),
    };
    let erased = Event::ResponseBodyErased {
        attempt_id: AttemptId::default(),
    };
    framework()
        .given(vec![scheduled(Trigger::Publish), failed, erased])
        .when(record(attempt(2, true)))
        .then_expect_events(vec![Event::Succeeded {
            attempt: attempt(2, true),
        }]);
}
