//! The rows.

use chrono::{DateTime, Duration, SubsecRound, Utc};

use super::places::Place;
use crate::support::Reply;

/// A row of the guide: kinds of answers and failures with which the same happens.
pub(super) struct Row {
    /// The heading that it stands under.
    pub(super) group: &'static str,
    /// What the receiver does, as the guide says it.
    pub(super) does: &'static str,
    pub(super) gives: Gives,
    pub(super) next: Next,
    pub(super) stays: Stays,
    pub(super) cases: Vec<Case>,
}

/// What an attempt gives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gives {
    Success,
    /// A failure with this code.
    Failure(&'static str),
}

/// What becomes of the delivery, as long as there are waits in the schedule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    /// It has succeeded.
    Nothing,
    Schedule,
    /// The same, but it has to wait until the webhook is active again.
    ScheduleOnceActive,
    /// When the receiver asks for.
    AsAsked,
    ADayLater,
}

/// What becomes of the webhook.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stays {
    /// It stays active, and has not failed any more.
    AsItIs,
    /// It stays active; somebody has answered.
    Answered,
    /// It stays active; nobody has answered, so the circuit counts it.
    Unreached,
    /// It stays active; nobody was asked.
    NotAsked,
    /// It is disabled.
    Gone,
}

/// One of a row's kinds.
pub(super) struct Case {
    pub(super) what: String,
    pub(super) target: Target,
    /// The status of the answer, if one comes.
    pub(super) status: Option<u16>,
    /// When it asks to be tried again, where that is what happens.
    pub(super) asks_for: Option<Asked>,
    /// It lasts until the deadline.
    pub(super) is_slow: bool,
    /// Not the whole answer is kept.
    pub(super) is_cut: bool,
}

/// Where the delivery goes.
pub(super) enum Target {
    /// To the receiver, which answers so.
    Script(Reply),
    /// Where no receiver is.
    Elsewhere(Place),
    /// To a place that is refused once these settings are changed.
    Refused(Place, Vec<(&'static str, &'static str)>),
}

/// When a receiver asks to be tried again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    After(Duration),
    At(DateTime<Utc>),
}

impl Asked {
    pub(super) fn at(self, ended_at: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::After(wait) => ended_at + wait,
            Self::At(time) => time,
        }
    }
}

impl Case {
    fn of(what: impl Into<String>, target: Target, status: Option<u16>) -> Self {
        Self {
            what: what.into(),
            target,
            status,
            asks_for: None,
            is_slow: false,
            is_cut: false,
        }
    }

    fn answer(status: u16, what: &str, reply: Reply) -> Self {
        let what = format!("{status} {what}");
        Self::of(what, Target::Script(reply), Some(status))
    }

    fn silence(what: &str, reply: Reply) -> Self {
        Self::of(what, Target::Script(reply), None)
    }

    fn elsewhere(what: &str, place: Place) -> Self {
        Self::of(what, Target::Elsewhere(place), None)
    }

    fn refused(what: &str, place: Place, setting: (&'static str, &'static str)) -> Self {
        Self::of(what, Target::Refused(place, vec![setting]), None)
    }

    fn slow(mut self) -> Self {
        self.is_slow = true;
        self
    }

    fn cut(mut self) -> Self {
        self.is_cut = true;
        self
    }
}

fn statuses(statuses: &[u16]) -> Vec<Case> {
    let case = |status: &u16| Case::answer(*status, "", Reply::status(*status));
    statuses.iter().map(case).collect()
}

/// 429 and 503 with each of these values of `Retry-After`.
fn asking(values: &[(String, Option<Asked>)]) -> Vec<Case> {
    let case = |status: u16, (value, asked): &(String, Option<Asked>)| {
        let reply = Reply::status(status).header("Retry-After", value);
        Case {
            asks_for: *asked,
            ..Case::answer(status, &format!("Retry-After: {value}"), reply)
        }
    };
    let both = |status| values.iter().map(move |value| case(status, value));
    both(429).chain(both(503)).collect()
}

/// HTTP's three ways to write a time (RFC 9110, section 5.6.7).
fn dates(time: DateTime<Utc>) -> [String; 3] {
    [
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    ]
    .map(|form| time.format(form).to_string())
}

const ANSWERS: &str = "An answer comes";
const TIMES: &str = "An answer that asks for time";
const SILENCE: &str = "No answer comes";

/// All rows, in the order of the guide; `now` is what dates are reckoned from.
pub(super) fn rows(now: DateTime<Utc>) -> Vec<Row> {
    let now = now.trunc_subsecs(0);
    [successes(), other_answers(), times(now), silence()]
        .into_iter()
        .flatten()
        .collect()
}

fn successes() -> Vec<Row> {
    let row = |does, cases| Row {
        group: ANSWERS,
        does,
        gives: Gives::Success,
        next: Next::Nothing,
        stays: Stays::AsItIs,
        cases,
    };
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    vec![
        row(
            "answers `200`, `201`, `202`, `204` or any other 2xx",
            statuses(&[200, 201, 202, 204, 206, 299]),
        ),
        row(
            "answers a 2xx with a body that never ends, stalls, breaks off or has more than 64 KiB",
            vec![
                Case::answer(200, "endless", Reply::Endless(200)).cut(),
                Case::answer(201, "large", Reply::body(201, &[b'x'; 1 << 20])).cut(),
                Case::answer(202, "stalls", Reply::Unfinished(202))
                    .slow()
                    .cut(),
                Case::answer(200, "drips", Reply::DripBody(200))
                    .slow()
                    .cut(),
                Case::answer(200, "breaks off", Reply::Raw(half.to_owned())).cut(),
            ],
        ),
        row(
            "answers a 1xx such as `100` or `103`, and then a 2xx",
            vec![
                Case::answer(200, "after 103", Reply::Raw(format!("{early}{whole}"))),
                Case::answer(
                    200,
                    "after 100",
                    Reply::Raw(format!("HTTP/1.1 100 Continue\r\n\r\n{whole}")),
                ),
            ],
        ),
    ]
}

fn other_answers() -> Vec<Row> {
    let row = |does, cases| Row {
        group: ANSWERS,
        does,
        gives: Gives::Failure("http_status"),
        next: Next::Schedule,
        stays: Stays::Answered,
        cases,
    };
    let redirect = |status: u16| {
        let reply = Reply::status(status).header("Location", "/followed");
        Case::answer(status, "with Location", reply)
    };
    vec![
        row(
            "redirects: `301`, `302`, `303`, `307`, `308`; the `Location` is never followed",
            [301, 302, 303, 307, 308].map(redirect).into(),
        ),
        row(
            "answers `400`, `401`, `403`, `404`, `408`, `409`, `422` or any other 4xx but the next two",
            statuses(&[
                400, 401, 403, 404, 405, 408, 409, 411, 413, 418, 422, 451, 499,
            ]),
        ),
        Row {
            next: Next::ScheduleOnceActive,
            stays: Stays::Gone,
            ..row("answers `410`", statuses(&[410]))
        },
        row(
            "answers `429` or `503` without `Retry-After`",
            statuses(&[429, 503]),
        ),
        row(
            "answers `500`, `502`, `504` or any other 5xx",
            statuses(&[500, 501, 502, 504, 520, 599]),
        ),
        row(
            "answers any other status: `101`, `300`, `304`, `600`, `999`",
            statuses(&[101, 300, 304, 600, 999]),
        ),
        row(
            "answers one of these failures with a body that never ends or stalls",
            vec![
                Case::answer(500, "endless", Reply::Endless(500)).cut(),
                Case::answer(404, "stalls", Reply::Unfinished(404))
                    .slow()
                    .cut(),
                Case::answer(503, "drips", Reply::DripBody(503))
                    .slow()
                    .cut(),
            ],
        ),
    ]
}

fn times(now: DateTime<Utc>) -> Vec<Row> {
    let row = |does, next, cases| Row {
        group: TIMES,
        does,
        gives: Gives::Failure("http_status"),
        next,
        stays: Stays::Answered,
        cases,
    };
    // The schedule's wait is 1 h.
    let later = now + Duration::hours(3);
    let unmoved = |values: Vec<String>| {
        let values: Vec<_> = values.into_iter().map(|value| (value, None)).collect();
        asking(&values)
    };
    let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let seconds = |count: i64| {
        let asked = Asked::After(Duration::seconds(count));
        (count.to_string(), Some(asked))
    };
    let mut too_long: Vec<String> = texts(&["86401", "99999999999999999999999999"]);
    too_long.extend(dates(now + Duration::days(30)));
    let mut too_soon: Vec<String> = texts(&["0", "1", "3599"]);
    too_soon.extend(dates(now + Duration::minutes(30)));
    let nonsense = [
        "soon",
        "-7200",
        "7200.5",
        "7200s",
        "+7200",
        "",
        "2099-01-15T08:01:00Z",
    ];
    let mut given_twice = asking(&[("7200".to_owned(), None)]);
    for case in &mut given_twice {
        if let Target::Script(reply) = &mut case.target {
            *reply = reply.clone().header("Retry-After", "7200");
        }
    }
    vec![
        row(
            "answers `429` or `503` with `Retry-After` in seconds: `7200`",
            Next::AsAsked,
            asking(&[seconds(3601), seconds(7200), seconds(86400)]),
        ),
        row(
            "answers `429` or `503` with `Retry-After` as a date: `Sun, 06 Nov 1994 08:49:37 GMT`, \
             `Sunday, 06-Nov-94 08:49:37 GMT`, `Sun Nov  6 08:49:37 1994`",
            Next::AsAsked,
            asking(&dates(later).map(|date| (date, Some(Asked::At(later))))),
        ),
        row(
            "the same, and it is sooner than the schedule has it",
            Next::Schedule,
            unmoved(too_soon),
        ),
        row(
            "the same, and the date has passed",
            Next::Schedule,
            unmoved(dates(now - Duration::hours(1)).into()),
        ),
        row(
            "the same, and it is more than 24 h away",
            Next::ADayLater,
            unmoved(too_long),
        ),
        row(
            "answers `429` or `503` with another `Retry-After` (`soon`, `-7200`, `7200.5`, \
             `2099-01-15T08:01:00Z`, nothing), or given twice",
            Next::Schedule,
            unmoved(texts(&nonsense))
                .into_iter()
                .chain(given_twice)
                .collect(),
        ),
        row(
            "answers any other status with `Retry-After`",
            Next::Schedule,
            [301, 404, 413, 500, 502]
                .map(|status| {
                    let reply = Reply::status(status).header("Retry-After", "7200");
                    Case::answer(status, "Retry-After: 7200", reply)
                })
                .into(),
        ),
    ]
}

fn silence() -> Vec<Row> {
    let row = |does, code, cases| Row {
        group: SILENCE,
        does,
        gives: Gives::Failure(code),
        next: Next::Schedule,
        stays: Stays::Unreached,
        cases,
    };
    let raw = |text: &str| Reply::Raw(text.to_owned());
    let large = format!(
        "HTTP/1.1 200 OK\r\nX-Large: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    vec![
        row(
            "does not answer in time: takes no connection, says nothing, or not all of its head",
            "timeout",
            vec![
                Case::elsewhere("takes no connection", Place::Silent).slow(),
                Case::silence("hangs", Reply::Hang).slow(),
                Case::silence("drips its head", Reply::Drip).slow(),
            ],
        ),
        row(
            "refuses the connection",
            "connect",
            vec![Case::elsewhere("closed port", Place::Closed)],
        ),
        row(
            "closes or resets the connection before its head has ended",
            "connection_closed",
            vec![
                Case::silence("resets", Reply::Reset),
                Case::silence("closes", Reply::Close),
                Case::silence("closes in its head", raw("HTTP/1.1 200 OK\r\nContent-Le")),
            ],
        ),
        Row {
            stays: Stays::Answered,
            ..row(
                "answers something that is no HTTP/1.1, or a head of more than 400 KiB",
                "invalid_response",
                vec![
                    Case::silence("SMTP", Reply::Garbage),
                    Case::silence("SSH", raw("SSH-2.0-OpenSSH_9.6\r\n")),
                    Case::silence("an unknown version", raw("HTTP/9.9 200 OK\r\n\r\n")),
                    Case::silence("a large head", Reply::Raw(large)),
                ],
            )
        },
        row(
            "speaks no TLS on this port, or ends the connection while TLS begins",
            "tls",
            vec![
                Case::elsewhere("plain HTTP", Place::NoTls),
                Case::elsewhere("hangs up", Place::HangsUp),
            ],
        ),
        row(
            "has a certificate that is not trusted",
            "tls",
            vec![Case::elsewhere("self-signed", Place::SelfSigned)],
        ),
        row(
            "has a name that does not resolve",
            "dns",
            vec![Case::elsewhere("unknown name", Place::Unknown)],
        ),
        Row {
            stays: Stays::NotAsked,
            ..row(
                "has a URL or an address that was allowed when it was configured and is not any more",
                "refused_target",
                vec![
                    Case::refused(
                        "an address",
                        Place::Receiver,
                        ("EGRESS_ALLOW", "10.0.0.0/8"),
                    ),
                    Case::refused(
                        "a name that leads there",
                        Place::ReceiverByName,
                        ("EGRESS_ALLOW", "10.0.0.0/8"),
                    ),
                    Case::refused("plain HTTP", Place::Receiver, ("ALLOW_HTTP", "false")),
                ],
            )
        },
    ]
}
