use proptest::prelude::*;

use super::*;

/// 2027-01-15T08:00:00Z, a full hour.
const HOUR: i64 = 1_800_000_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(HOUR + seconds, 0).unwrap()
}

fn asked(from: Option<i64>, to: Option<i64>, bucket_seconds: Option<u32>) -> Asked {
    Asked {
        from: from.map(at),
        to: to.map(at),
        bucket_seconds,
    }
}

/// From, to and length that are chosen at `now`, in seconds.
fn chosen(asked: Asked, now: i64) -> Result<(i64, i64, u32), InvalidGrid> {
    let grid = Grid::choose(asked, at(now))?;
    let seconds = |time: DateTime<Utc>| (time - at(0)).num_seconds();
    Ok((
        seconds(grid.from()),
        seconds(grid.to()),
        grid.bucket_seconds(),
    ))
}

#[test]
fn nothing_asked_for_is_the_last_24_hours_by_the_hour() {
    let day = 86_400;
    for now in [0, 1, 3599] {
        let found = chosen(Asked::default(), now);
        assert_eq!(found, Ok((3600 - day, 3600, 3600)), "{now}");
    }
    assert_eq!(
        chosen(asked(None, None, Some(60)), 30),
        Ok((60 - day, 60, 60))
    );
    assert_eq!(
        chosen(asked(None, None, Some(1)), 0),
        Ok((1 - 1440, 1, 1)),
        "no more buckets than there may be"
    );
    let seven_hours = 7 * 3600;
    let (from, to, _) = chosen(asked(None, None, Some(seven_hours)), 0).unwrap();
    assert_eq!(to - from, 4 * i64::from(seven_hours), "whole buckets");
    assert!(to > 0 && from <= -day);
}

#[test]
fn what_is_given_is_taken_as_it_is() {
    assert_eq!(
        chosen(asked(Some(-7), Some(130), Some(60)), 0),
        Ok((-7, 130, 60))
    );
    assert_eq!(
        chosen(asked(None, Some(5), None), 0),
        Ok((5 - 86_400, 5, 3600))
    );
    // What lies ahead may be asked for.
    assert_eq!(
        chosen(asked(Some(10), Some(20), Some(1)), 0),
        Ok((10, 20, 1))
    );
}

#[test]
fn without_an_end_it_goes_to_the_end_of_the_running_bucket() {
    for (now, to) in [(0, 60), (59, 60), (60, 120), (100, 120)] {
        assert_eq!(
            chosen(asked(Some(0), None, Some(60)), now),
            Ok((0, to, 60)),
            "{now}"
        );
    }
    assert_eq!(
        chosen(asked(Some(1), None, None), 0),
        Err(InvalidGrid::Empty)
    );
}

#[test]
fn long_stretches_have_buckets_of_a_day() {
    let hours = |hours: i64| asked(Some(0), Some(hours * 3600), None);
    assert_eq!(chosen(hours(1440), 0), Ok((0, 5_184_000, 3600)));
    assert_eq!(chosen(hours(1441), 0), Ok((0, 5_187_600, 86_400)));
    let open = |hours: i64| chosen(asked(Some(-hours * 3600), None, None), 0);
    assert_eq!(open(1439), Ok((-1439 * 3600, 3600, 3600)));
    assert_eq!(open(1440), Ok((-5_184_000, 86_400, 86_400)));
    assert_eq!(chosen(hours(24 * 1440), 0).unwrap().2, 86_400);
    assert_eq!(chosen(hours(24 * 1440 + 1), 0), Err(InvalidGrid::TooMany));
}

#[test]
fn what_has_no_length_or_too_many_buckets_is_refused() {
    for (from, to, bucket, why) in [
        (0, 0, 60, InvalidGrid::Empty),
        (1, 0, 60, InvalidGrid::Empty),
        (0, 60, 0, InvalidGrid::Bucket),
        (0, 60, 86_401, InvalidGrid::Bucket),
        (0, 60, u32::MAX, InvalidGrid::Bucket),
        (0, 1441, 1, InvalidGrid::TooMany),
    ] {
        let found = chosen(asked(Some(from), Some(to), Some(bucket)), 0);
        assert_eq!(found, Err(why), "{from} {to} {bucket}");
    }
    assert!(chosen(asked(Some(0), Some(1440), Some(1)), 0).is_ok());
}

#[test]
fn times_at_the_ends_of_the_calendar_do_no_harm() {
    let time = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
    let (first, last) = (
        time("0000-01-01T00:00:00Z"),
        time("9999-12-31T23:59:59.999Z"),
    );
    let choose = |from, to| {
        let asked = Asked {
            from,
            to,
            bucket_seconds: None,
        };
        Grid::choose(asked, at(0)).map(|grid| (grid.from(), grid.to()))
    };
    assert_eq!(choose(None, first), Err(InvalidGrid::Empty));
    let soon = time("0000-01-01T05:00:00Z");
    assert_eq!(choose(None, soon), Ok((first.unwrap(), soon.unwrap())));
    assert_eq!(choose(first, last), Err(InvalidGrid::TooMany));
    assert_eq!(choose(first, None), Err(InvalidGrid::TooMany));
    assert_eq!(choose(last, None), Err(InvalidGrid::Empty));
    assert!(choose(None, last).is_ok());
}

fn measured(second: i64, duration_ms: u64, has_succeeded: bool) -> Measured {
    Measured {
        started_at: at(second),
        duration_ms,
        has_succeeded,
    }
}

#[test]
fn attempts_are_counted_where_they_started() {
    let grid = Grid::choose(asked(Some(5), Some(30), Some(10)), at(0)).unwrap();
    let mut tally = Tally::new(grid);
    for (second, duration_ms, has_succeeded) in [
        (4, 1, true),
        (5, 20, true),
        (14, 90_000, false),
        (25, 7, false),
        (29, 5, true),
        (30, 1, true),
    ] {
        tally.note(measured(second, duration_ms, has_succeeded));
    }
    assert_eq!(tally.attempts(), 4);
    let bucket = |start, succeeded, failed, p50, p95| Bucket {
        start: at(start),
        attempts: succeeded + failed,
        succeeded,
        failed,
        duration_p50_ms: p50,
        duration_p95_ms: p95,
    };
    assert_eq!(
        tally.into_buckets(),
        [
            bucket(5, 1, 1, Some(20), Some(90_000)),
            bucket(15, 0, 0, None, None),
            bucket(25, 1, 1, Some(5), Some(7)),
        ]
    );
}

#[test]
fn percentiles_go_by_the_nearest_rank() {
    let grid = Grid::choose(asked(Some(0), Some(10), Some(10)), at(0)).unwrap();
    for (count, p50, p95) in [(1, 1, 1), (2, 1, 2), (3, 2, 3), (20, 10, 19), (100, 50, 95)] {
        let mut tally = Tally::new(grid);
        (1..=count).for_each(|duration_ms| tally.note(measured(0, duration_ms, true)));
        let bucket = &tally.into_buckets()[0];
        assert_eq!(
            (bucket.duration_p50_ms, bucket.duration_p95_ms),
            (Some(p50), Some(p95)),
            "of {count}"
        );
    }
}

proptest! {
    /// Beside what a plain search of all attempts finds.
    #[test]
    fn buckets_are_those_of_a_plain_search(
        attempts in prop::collection::vec((-20i64..120, 0u64..50, any::<bool>()), 0..200),
        from in 0i64..50, length in 1i64..60, bucket in 1u32..40,
    ) {
        let to = from + length;
        let grid = Grid::choose(asked(Some(from), Some(to), Some(bucket)), at(0)).unwrap();
        let mut tally = Tally::new(grid);
        for (second, duration_ms, has_succeeded) in &attempts {
            tally.note(measured(*second, *duration_ms, *has_succeeded));
        }
        let mut start = from;
        for found in tally.into_buckets() {
            let end = (start + i64::from(bucket)).min(to);
            let mut inside: Vec<_> = attempts
                .iter()
                .filter(|(second, ..)| (start..end).contains(second))
                .collect();
            inside.sort_by_key(|(_, duration_ms, _)| *duration_ms);
            let rank = |percent: f64| {
                let rank = (percent / 100.0 * inside.len() as f64).ceil() as usize;
                inside.get(rank.wrapping_sub(1)).map(|(_, duration_ms, _)| *duration_ms)
            };
            let succeeded = inside.iter().filter(|(.., has_succeeded)| *has_succeeded).count() as u64;
            prop_assert_eq!(found.start, at(start));
            prop_assert_eq!(found.attempts, inside.len() as u64);
            prop_assert_eq!((found.succeeded, found.failed), (succeeded, inside.len() as u64 - succeeded));
            prop_assert_eq!(found.duration_p50_ms, rank(50.0));
            prop_assert_eq!(found.duration_p95_ms, rank(95.0));
            start += i64::from(bucket);
        }
        prop_assert!(start >= to);
    }
}
