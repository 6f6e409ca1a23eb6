use proptest::prelude::*;

use super::*;

fn pace(per_second: u32) -> Pace {
    Pace::new(NonZeroU32::new(per_second).unwrap())
}

fn at(micros: u64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::Duration::days(20_000) + Duration::from_micros(micros)
}

/// When attempts start, as microseconds after the first, for `seconds`: enough waits, and whoever
/// starts them comes late by these times in turn.
fn starts(per_second: u32, late_by: &[u64], seconds: u64) -> Vec<u64> {
    let mut pace = pace(per_second);
    let mut late_by = late_by.iter().cycle();
    let (mut now, mut starts) = (0, Vec::new());
    while now < seconds * 1_000_000 {
        while pace.free_at() <= at(now) {
            pace.take(at(now));
            starts.push(now);
        }
        let wait = (pace.free_at() - at(now)).to_std().unwrap();
        let micros = wait.as_nanos().div_ceil(1000);
        now += u64::try_from(micros).unwrap() + late_by.next().unwrap();
    }
    starts
}

/// The fewest and the most attempts in any second that lies within `seconds`.
fn extremes(starts: &[u64], seconds: u64) -> (usize, usize) {
    let before = |time: u64| starts.partition_point(|start| *start < time);
    let last = (seconds - 1) * 1_000_000;
    let windows = starts.iter().copied().filter(|start| *start < last);
    let counts = windows.map(|start| {
        let behind = before(start + 1_000_001) - before(start + 1);
        let from = before(start + 1_000_000) - before(start);
        (behind, from)
    });
    counts.fold((usize::MAX, 0), |(fewest, most), (behind, from)| {
        (fewest.min(behind), most.max(from))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_second_has_many_more_or_fewer_attempts_than_allowed(
        per_second in prop_oneof![1u32..=200, 1u32..=10_000],
        late_by in prop::collection::vec(0u64..=3000, 1..50),
    ) {
        let (fewest, most) = extremes(&starts(per_second, &late_by, 3), 3);
        let limit = f64::from(per_second);
        prop_assert!(fewest as f64 > limit * 0.95 - 1.0, "{fewest} in a second at {per_second}");
        prop_assert!((most as f64) < limit * 1.05 + 1.0, "{most} in a second at {per_second}");
    }

    #[test]
    fn a_hundred_a_second_are_95_to_105(late_by in prop::collection::vec(0u64..=3000, 1..50)) {
        let (fewest, most) = extremes(&starts(100, &late_by, 5), 5);
        prop_assert!(fewest >= 95 && most <= 105, "{fewest} to {most}");
    }

    #[test]
    fn what_was_missed_long_ago_is_not_made_up_for(
        per_second in 1u32..=10_000,
        idle in 0u64..10_000_000,
    ) {
        let mut pace = pace(per_second);
        pace.take(at(0));
        let now = at(1_000_000 + idle);
        let mut burst = 0;
        while pace.free_at() <= now {
            pace.take(now);
            burst += 1;
        }
        prop_assert!(burst <= 1 + per_second.div_ceil(50), "{burst} at once at {per_second}");
    }
}

#[test]
fn it_is_like_a_new_one_when_nothing_of_it_is_used_up() {
    let mut used = pace(100);
    for _ in 0..3 {
        used.take(at(0));
    }
    assert_eq!(used.free_at(), at(10_000));
    assert_eq!(
        used.full_at(),
        at(30_000),
        "three attempts take three hundredths"
    );
}
