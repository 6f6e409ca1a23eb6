//! Statistics of a webhook's attempts: how many started in each stretch of time, what came of them,
//! and how long they took.

use chrono::{DateTime, Duration, Utc};

/// The most buckets of an answer: the minutes of a day.
pub const BUCKETS_MAX: u32 = 1440;
/// The longest bucket, in seconds: a day.
pub const BUCKET_SECONDS_MAX: u32 = 86_400;
/// A bucket for which no length was asked, in seconds.
const BUCKET_SECONDS_DEFAULT: u32 = 3600;
/// How far back it goes if no beginning was asked for, and buckets are not too short for it.
const RANGE_DEFAULT: Duration = Duration::hours(24);
/// The first moment that can be written in RFC 3339, in milliseconds since 1970.
const FIRST_MILLIS: i64 = -62_167_219_200_000;

/// What was asked for; what is left out is chosen by [`Grid::choose`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// The first moment that is meant.
    pub from: Option<DateTime<Utc>>,
    /// The first moment that is not meant any more.
    pub to: Option<DateTime<Utc>>,
    /// The length of a bucket.
    pub bucket_seconds: Option<u32>,
}

/// A stretch of time, cut into buckets of one length from its beginning on; the last one may be
/// shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    bucket_seconds: u32,
}

/// What cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrid {
    /// The stretch of time has no length.
    #[error("from must be before to, which is now if it is not given")]
    Empty,
    /// A bucket is too short or too long.
    #[error("bucket must be from 1 second to 1 day")]
    Bucket,
    /// There would be too many buckets.
    #[error("there would be more than {BUCKETS_MAX} buckets between from and to")]
    TooMany,
}

impl Grid {
    /// Completes what was asked for. Without a beginning it is the last 24 hours, rounded up to
    /// whole buckets, of which it takes no more than [`BUCKETS_MAX`]; without an end it goes to the
    /// end of the bucket that is running `now`. If neither is given, buckets begin at multiples of
    /// their length since 1970, so that an hour is one of the clock. Without a length buckets have
    /// an hour, or a day if those were too many.
    pub fn choose(asked: Asked, now: DateTime<Utc>) -> Result<Self, InvalidGrid> {
        let bucket_seconds = match asked.bucket_seconds {
            Some(seconds) => seconds,
            None => {
                let hourly = Self::with_bucket(asked, BUCKET_SECONDS_DEFAULT, now);
                match hourly {
                    Err(InvalidGrid::TooMany) => BUCKET_SECONDS_MAX,
                    other => return other,
                }
            }
        };
        Self::with_bucket(asked, bucket_seconds, now)
    }

    fn with_bucket(
        asked: Asked,
        bucket_seconds: u32,
        now: DateTime<Utc>,
    ) -> Result<Self, InvalidGrid> {
        if !(1..=BUCKET_SECONDS_MAX).contains(&bucket_seconds) {
            return Err(InvalidGrid::Bucket);
        }
        let bucket_millis = i64::from(bucket_seconds) * 1000;
        let running_ends = |from: DateTime<Utc>| {
            let since = (now - from).num_milliseconds();
            from + Duration::milliseconds((since.div_euclid(bucket_millis) + 1) * bucket_millis)
        };
        let to = match (asked.from, asked.to) {
            (_, Some(to)) => to,
            (Some(from), None) if from <= now => running_ends(from),
            (Some(_), None) => return Err(InvalidGrid::Empty),
            (None, None) => running_ends(DateTime::UNIX_EPOCH),
        };
        let from = asked.from.unwrap_or_else(|| {
            let buckets = count(RANGE_DEFAULT.num_milliseconds(), bucket_millis);
            let buckets = buckets.min(i64::from(BUCKETS_MAX));
            let from = to - Duration::milliseconds(buckets * bucket_millis);
            DateTime::from_timestamp_millis(FIRST_MILLIS).map_or(from, |first| from.max(first))
        });
        let grid = Self {
            from,
            to,
            bucket_seconds,
        };
        if from >= to {
            return Err(InvalidGrid::Empty);
        }
        if grid.count() > i64::from(BUCKETS_MAX) {
            return Err(InvalidGrid::TooMany);
        }
        Ok(grid)
    }

    /// The first moment that is counted.
    pub fn from(&self) -> DateTime<Utc> {
        self.from
    }

    /// The first moment that is not counted any more.
    pub fn to(&self) -> DateTime<Utc> {
        self.to
    }

    /// How long a bucket is, in seconds.
    pub fn bucket_seconds(&self) -> u32 {
        self.bucket_seconds
    }

    fn bucket_millis(&self) -> i64 {
        i64::from(self.bucket_seconds) * 1000
    }

    fn count(&self) -> i64 {
        count(
            (self.to - self.from).num_milliseconds(),
            self.bucket_millis(),
        )
    }

    /// In which bucket a moment lies, if it is meant at all.
    fn place(&self, time: DateTime<Utc>) -> Option<usize> {
        if !(self.from..self.to).contains(&time) {
            return None;
        }
        let since = (time - self.from).num_milliseconds();
        usize::try_from(since / self.bucket_millis()).ok()
    }
}

/// How many buckets cover a length.
fn count(millis: i64, bucket_millis: i64) -> i64 {
    (millis + bucket_millis - 1) / bucket_millis
}

/// What statistics look at in an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: u64,
    /// The receiver took it.
    pub has_succeeded: bool,
}

/// What happened in one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its first moment.
    pub start: DateTime<Utc>,
    /// Attempts that started in it and have ended.
    pub attempts: u64,
    /// Those that the receiver took.
    pub succeeded: u64,
    /// Those that failed.
    pub failed: u64,
    /// Half of them took no longer, to the nearest rank; `None` if there were none.
    pub duration_p50_ms: Option<u64>,
    /// 95 of 100 of them took no longer, to the nearest rank; `None` if there were none.
    pub duration_p95_ms: Option<u64>,
}

/// Counts attempts, in whatever order they come. It keeps the durations only, four bytes for each
/// attempt, and as many to grow.
#[derive(Debug)]
pub struct Tally {
    grid: Grid,
    counts: Vec<Counts>,
    attempts: u64,
}

#[derive(Debug, Clone, Default)]
struct Counts {
    succeeded: u64,
    failed: u64,
    /// In milliseconds.
    durations: Vec<u32>,
}

impl Tally {
    /// Nothing is counted yet.
    pub fn new(grid: Grid) -> Self {
        let buckets = usize::try_from(grid.count()).unwrap_or(0);
        Self {
            grid,
            counts: vec![Counts::default(); buckets],
            attempts: 0,
        }
    }

    /// Counts an attempt, if it started in the stretch of time that is meant.
    pub fn note(&mut self, attempt: Measured) {
        let place = self.grid.place(attempt.started_at);
        let Some(counts) = place.and_then(|place| self.counts.get_mut(place)) else {
            return;
        };
        self.attempts += 1;
        if attempt.has_succeeded {
            counts.succeeded += 1;
        } else {
            counts.failed += 1;
        }
        // No attempt takes 49 days.
        let duration_ms = u32::try_from(attempt.duration_ms).unwrap_or(u32::MAX);
        counts.durations.push(duration_ms);
    }

    /// How many attempts were counted.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// All buckets, the empty ones too, oldest first.
    pub fn into_buckets(mut self) -> Vec<Bucket> {
        let length = Duration::milliseconds(self.grid.bucket_millis());
        let mut start = self.grid.from;
        let mut buckets = Vec::with_capacity(self.counts.len());
        for counts in &mut self.counts {
            buckets.push(counts.bucket(start));
            start += length;
        }
        buckets
    }
}

impl Extend<Measured> for Tally {
    fn extend<T: IntoIterator<Item = Measured>>(&mut self, attempts: T) {
        attempts.into_iter().for_each(|attempt| self.note(attempt));
    }
}

impl Counts {
    fn bucket(&mut self, start: DateTime<Utc>) -> Bucket {
        Bucket {
            start,
            attempts: self.succeeded + self.failed,
            succeeded: self.succeeded,
            failed: self.failed,
            duration_p50_ms: self.percentile(50),
            duration_p95_ms: self.percentile(95),
        }
    }

    /// The shortest duration that at least so many of 100 did not exceed.
    fn percentile(&mut self, percent: usize) -> Option<u64> {
        let rank = (self.durations.len() * percent).div_ceil(100);
        let index = rank.checked_sub(1)?;
        let (_, duration_ms, _) = self.durations.select_nth_unstable(index);
        Some(u64::from(*duration_ms))
    }
}

#[cfg(test)]
mod tests;
