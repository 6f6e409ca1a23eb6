use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Rules, headers};
use crate::{
    filter::Filter,
    retry::Schedule,
    target,
    topic::Pattern,
    validation::{FieldError, check_range, check_text},
};

/// In which order a webhook's deliveries are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// As they come due, several at a time.
    #[default]
    None,
    /// In order of acceptance, one at a time for each ordering key.
    Fifo,
}

/// What a tenant says about a webhook, checked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Config {
    /// For people; 1 to 200 characters.
    pub name: String,
    /// For people; at most 1000 characters.
    pub description: String,
    /// Where deliveries go; at most 2048 bytes.
    pub url: String,
    /// What it subscribes to; 1 to 100 patterns.
    pub events: Vec<Pattern>,
    /// Headers that are sent along.
    pub headers: BTreeMap<String, String>,
    /// Which messages of its topics it wants, if not all: an expression that
    /// [`Filter::parse`](crate::filter::Filter::parse) takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// In which order deliveries are sent.
    pub ordering: Ordering,
    /// At most this many attempts a second.
    pub rate_limit: Option<u32>,
    /// At most this many attempts at one time.
    pub max_in_flight: Option<u32>,
    /// A shorter limit for an attempt, in seconds.
    pub timeout_seconds: Option<u32>,
    /// The webhook's own waits after failed attempts, in seconds; none: no retries.
    pub retry_schedule: Option<Vec<u64>>,
}

/// A configuration or a part of one as somebody sent it, not checked yet. `None` leaves a field
/// as it is; in `Some(None)` the field is set back to its default.
#[derive(Debug, Clone, Default)]
#[expect(
    missing_docs,
    reason = "the fields are those of Config and of the contract"
)]
pub struct Changes {
    pub name: Option<String>,
    pub description: Option<String>,
    pub url: Option<String>,
    pub events: Option<Vec<String>>,
    pub is_active: Option<bool>,
    pub headers: Option<BTreeMap<String, String>>,
    pub filter: Option<Option<String>>,
    pub ordering: Option<Ordering>,
    pub rate_limit: Option<Option<u64>>,
    pub max_in_flight: Option<Option<u64>>,
    pub timeout_seconds: Option<Option<u64>>,
    pub retry_schedule: Option<Option<Vec<u64>>>,
}

/// The most patterns that a webhook may subscribe to.
pub const EVENTS_MAX: usize = 100;
/// The highest rate limit, in attempts a second.
pub const RATE_LIMIT_MAX: u64 = 10_000;
/// The highest limit of attempts at one time.
pub const IN_FLIGHT_MAX: u64 = 1000;
/// The longest limit for an attempt, in seconds.
pub const TIMEOUT_SECONDS_MAX: u64 = 30;

impl Changes {
    /// Checks what is given and puts it over `config`. Fields that are not given are not judged
    /// again: a webhook whose topic has left the catalogue can still be switched off.
    ///
    /// Fails with everything that is wrong, in the order of the fields.
    pub fn apply_to(&self, mut config: Config, rules: &Rules) -> Result<Config, Vec<FieldError>> {
        let mut errors = Vec::new();
        self.apply_texts(&mut config, rules, &mut errors);
        self.apply_events(&mut config, rules, &mut errors);
        self.apply_headers(&mut config, &mut errors);
        self.apply_filter(&mut config, &mut errors);
        self.apply_pace(&mut config, &mut errors);
        self.apply_retries(&mut config, &mut errors);
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(errors)
        }
    }

    fn apply_texts(&self, config: &mut Config, rules: &Rules, errors: &mut Vec<FieldError>) {
        if let Some(name) = &self.name {
            errors.extend(check_text("name", name, 1..=200).err());
            config.name.clone_from(name);
        }
        if let Some(description) = &self.description {
            errors.extend(check_text("description", description, 0..=1000).err());
            config.description.clone_from(description);
        }
        if let Some(url) = &self.url {
            if let Err(refusal) = target::check(url, &rules.policy) {
                errors.push(FieldError::new(
                    "url",
                    refusal.code.as_str(),
                    refusal.to_string(),
                ));
            }
            config.url.clone_from(url);
        }
    }

    fn apply_events(&self, config: &mut Config, rules: &Rules, errors: &mut Vec<FieldError>) {
        let Some(events) = &self.events else { return };
        if !(1..=EVENTS_MAX).contains(&events.len()) {
            errors.push(FieldError::new(
                "events",
                "invalid_length",
                format!("must name 1 to {EVENTS_MAX} topics, names {}", events.len()),
            ));
            return;
        }
        config.events.clear();
        for (index, text) in events.iter().enumerate() {
            match rules
                .catalogue
                .check_pattern(&format!("events[{index}]"), text)
            {
                Ok(pattern) if config.events.contains(&pattern) => {}
                Ok(pattern) => config.events.push(pattern),
                Err(error) => errors.push(error),
            }
        }
    }

    fn apply_headers(&self, config: &mut Config, errors: &mut Vec<FieldError>) {
        let Some(headers) = &self.headers else { return };
        if let Err(refused) = headers::check(headers) {
            errors.push(FieldError::new(
                "headers",
                "invalid_header",
                refused.to_string(),
            ));
        }
        config.headers.clone_from(headers);
    }

    fn apply_filter(&self, config: &mut Config, errors: &mut Vec<FieldError>) {
        let Some(filter) = &self.filter else { return };
        if let Some(Err(refusal)) = filter.as_deref().map(Filter::parse) {
            errors.push(FieldError::new(
                "filter",
                "invalid_filter",
                refusal.to_string(),
            ));
        }
        config.filter.clone_from(filter);
    }

    fn apply_pace(&self, config: &mut Config, errors: &mut Vec<FieldError>) {
        if let Some(ordering) = self.ordering {
            config.ordering = ordering;
        }
        let mut number =
            |field: &str, given: Option<Option<u64>>, max: u64, slot: &mut Option<u32>| {
                let Some(given) = given else { return };
                if let Some(value) = given {
                    errors.extend(check_range(field, value, 1..=max).err());
                }
                *slot = given.and_then(|value| u32::try_from(value).ok());
            };
        number(
            "rate_limit",
            self.rate_limit,
            RATE_LIMIT_MAX,
            &mut config.rate_limit,
        );
        number(
            "max_in_flight",
            self.max_in_flight,
            IN_FLIGHT_MAX,
            &mut config.max_in_flight,
        );
        number(
            "timeout_seconds",
            self.timeout_seconds,
            TIMEOUT_SECONDS_MAX,
            &mut config.timeout_seconds,
        );
    }

    fn apply_retries(&self, config: &mut Config, errors: &mut Vec<FieldError>) {
        let Some(schedule) = &self.retry_schedule else {
            return;
        };
        if let Some(waits) = schedule {
            if waits.len() > Schedule::WAITS_MAX {
                errors.push(FieldError::new(
                    "retry_schedule",
                    "invalid_length",
                    format!("must have at most {} waits", Schedule::WAITS_MAX),
                ));
            }
            for (index, wait) in waits.iter().enumerate().take(Schedule::WAITS_MAX) {
                let field = format!("retry_schedule[{index}]");
                errors.extend(check_range(&field, *wait, 0..=Schedule::WAIT_SECONDS_MAX).err());
            }
        }
        config.retry_schedule.clone_from(schedule);
    }
}
