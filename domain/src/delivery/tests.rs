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

#[test]
fn what_has_ended_stays_ended() {
    let ends = [
        Event::Succeeded {
            attempt: attempt(1, true),
        },
        Event::Exhausted {
            attempt: attempt(1, false),
        },
        Event::Cancelled {
            reason: CancelReason::WebhookDeleted,
        },
    ];
    let statuses = [Status::Succeeded, Status::Exhausted, Status::Cancelled];
    for (end, status) in ends.into_iter().zip(statuses) {
        framework()
            .given(vec![scheduled(Trigger::Publish), end.clone()])
            .when(record(attempt(2, true)))
            .then_expect_error(Error::Ended { status });
        framework()
            .given(vec![scheduled(Trigger::Publish), end])
            .when(Command::Cancel {
                reason: CancelReason::WebhookDeleted,
            })
            .then_expect_error(Error::Ended { status });
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
