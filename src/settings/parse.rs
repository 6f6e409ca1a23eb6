//! How the text of each setting becomes its value, with the limits of what is accepted.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hookledger_domain::{
    callback::Mode,
    duration,
    stripe::signature::{self, EndpointSecret, InvalidEndpointSecret},
    target::{Allowance, InvalidAllowance},
};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};
use url::Url;

use super::{Database, LogFormat, SecretText, keys};

/// The most entries of a list of addresses.
const ALLOWANCES_MAX: usize = 256;
/// The most waits of a retry schedule.
const RETRIES_MAX: usize = 50;
/// The longest wait between two attempts.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30 * 86_400);
/// The shortest and the longest time that an attempt may be given.
const DELIVERY_TIMEOUT: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(60));
/// For how long a webhook may fail before it is disabled.
const DISABLE_AFTER: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(365 * 24 * 3600));
/// The shortest and the longest lease of a node, and time-out of a statement.
const LEASE_OR_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// The shortest and the longest time for which bodies are kept.
const RETENTION: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(3650 * 86_400));
/// The shortest and the longest time between two seals.
const SEAL_EVERY: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(365 * 86_400));
/// The most concurrent attempts that can be asked for.
const IN_FLIGHT_MAX: usize = 65_536;
/// The shortest HS256 secret: RFC 7518 section 3.2 asks for at least the hash's size.
const HS256_SECRET_BYTES_MIN: usize = 32;
/// The longest text of a setting without a limit of its own, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// Why a text is no value of a setting. The value itself is not in the message, since it may be
/// a secret.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// Nothing where something is needed.
    #[error("expected a value, found nothing")]
    Empty,
    /// A text over its limit.
    #[error("has {bytes} bytes; at most {max} are accepted")]
    TooLong {
        /// The length found.
        bytes: usize,
        /// The longest that is accepted.
        max: usize,
    },
    /// A text with a NUL or another control character.
    #[error("has a control character")]
    ControlCharacter,
    /// No address with a port.
    #[error("expected an IP address with a port, such as 127.0.0.1:8080 or [::1]:8080")]
    Address,
    /// No truth value.
    #[error("expected true or false")]
    Boolean,
    /// No number, or one outside the limits.
    #[error("expected a whole number from {min} to {max}")]
    Count {
        /// The smallest accepted.
        min: usize,
        /// The largest accepted.
        max: usize,
    },
    /// No share from 0 to 1.
    #[error("expected a number from 0 to 1")]
    Share,
    /// No duration.
    #[error(transparent)]
    Duration(#[from] duration::InvalidDuration),
    /// A duration outside the limits.
    #[error(
        "expected a duration from {} to {}",
        duration::format(*min),
        duration::format(*max)
    )]
    DurationOutside {
        /// The shortest accepted.
        min: Duration,
        /// The longest accepted.
        max: Duration,
    },
    /// A list with too many entries.
    #[error("has {count} entries; at most {max} are accepted")]
    TooMany {
        /// The entries found.
        count: usize,
        /// The most that are accepted.
        max: usize,
    },
    /// An entry that is no network.
    #[error(transparent)]
    Allowance(#[from] InvalidAllowance),
    /// No URL of a PostgreSQL database.
    #[error(
        "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE; special characters in the password \
         are written as %XX"
    )]
    Postgres,
    /// No database that is known, or not one that can be trusted with a ledger.
    #[error(
        "expected sqlite:PATH, with a path of a file and without options, or postgres://HOST/DATABASE"
    )]
    Database,
    /// A token that is guessable or cannot stand in a header.
    #[error(transparent)]
    Token(#[from] keys::InvalidToken),
    /// No master key.
    #[error(transparent)]
    MasterKey(#[from] keys::InvalidMasterKey),
    /// No signing secret of Stripe's.
    #[error("entry {number}: {source}")]
    StripeSecret {
        /// The place in the list, from 1.
        number: usize,
        /// What is wrong with it.
        source: InvalidEndpointSecret,
    },
    /// No mode of Stripe's.
    #[error("expected live, test or any")]
    StripeMode,
    /// A second source of the key that JWTs are checked with.
    #[error("set only one of jwt_public_key_file, jwt_jwks_file and jwt_hs256_secret")]
    SecondJwtKey,
    /// A setting of JWTs without a key to check them with.
    #[error("needs one of jwt_public_key_file, jwt_jwks_file and jwt_hs256_secret too")]
    NoJwtKey,
    /// A secret that can be guessed from one token.
    #[error(
        "has {bytes} bytes; HS256 needs at least {HS256_SECRET_BYTES_MIN} (RFC 7518, section 3.2)"
    )]
    Hs256Secret {
        /// The length found.
        bytes: usize,
    },
    /// No filter of the log.
    #[error(
        "expected a level (error, warn, info, debug, trace) or directives such as info,hookledger=debug"
    )]
    LogFilter,
    /// No format of the log.
    #[error("expected text or json")]
    LogFormat,
}

pub(super) fn address(text: &str) -> Result<SocketAddr, Invalid> {
    text.parse().map_err(|_| Invalid::Address)
}

pub(super) fn boolean(text: &str) -> Result<bool, Invalid> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Invalid::Boolean),
    }
}

pub(super) fn in_flight(text: &str) -> Result<usize, Invalid> {
    count(text, 1, IN_FLIGHT_MAX)
}

pub(super) fn count<T>(text: &str, min: usize, max: usize) -> Result<T, Invalid>
where
    T: TryFrom<usize>,
{
    text.parse()
        .ok()
        .filter(|count| (min..=max).contains(count))
        .and_then(|count| T::try_from(count).ok())
        .ok_or(Invalid::Count { min, max })
}

pub(super) fn share(text: &str) -> Result<f64, Invalid> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or(Invalid::Share)
}

pub(super) fn delivery_timeout(text: &str) -> Result<Duration, Invalid> {
    let (min, max) = DELIVERY_TIMEOUT;
    bounded_duration(text, min, max)
}

pub(super) fn disable_after(text: &str) -> Result<Duration, Invalid> {
    let (min, max) = DISABLE_AFTER;
    bounded_duration(text, min, max)
}

pub(super) fn lease_or_timeout(text: &str) -> Result<Duration, Invalid> {
    let (min, max) = LEASE_OR_TIMEOUT;
    bounded_duration(text, min, max)
}

pub(super) fn retention(text: &str) -> Result<Duration, Invalid> {
    let (min, max) = RETENTION;
    bounded_duration(text, min, max)
}

pub(super) fn seal_every(text: &str) -> Result<Duration, Invalid> {
    let (min, max) = SEAL_EVERY;
    bounded_duration(text, min, max)
}

pub(super) fn retry_schedule(text: &str) -> Result<Vec<Duration>, Invalid> {
    list(text, RETRIES_MAX)?
        .map(|wait| bounded_duration(wait, Duration::ZERO, RETRY_WAIT_MAX))
        .collect()
}

fn bounded_duration(text: &str, min: Duration, max: Duration) -> Result<Duration, Invalid> {
    let duration = duration::parse(text)?;
    if (min..=max).contains(&duration) {
        Ok(duration)
    } else {
        Err(Invalid::DurationOutside { min, max })
    }
}

pub(super) fn allowances(text: &str) -> Result<Vec<Allowance>, Invalid> {
    list(text, ALLOWANCES_MAX)?
        .map(|entry| Ok(entry.parse()?))
        .collect()
}

/// The entries of a comma-separated list, without the spaces around them; an empty text is the
/// empty list.
fn list(text: &str, max: usize) -> Result<impl Iterator<Item = &str>, Invalid> {
    let count = match text.trim() {
        "" => 0,
        entries => entries.split(',').count(),
    };
    if count > max {
        return Err(Invalid::TooMany { count, max });
    }
    Ok(text.split(',').map(str::trim).take(count))
}

pub(super) fn path(text: &str) -> Result<PathBuf, Invalid> {
    self::text(text).map(PathBuf::from)
}

pub(super) fn text(text: &str) -> Result<String, Invalid> {
    if text.is_empty() {
        Err(Invalid::Empty)
    } else if text.len() > TEXT_BYTES_MAX {
        Err(Invalid::TooLong {
            bytes: text.len(),
            max: TEXT_BYTES_MAX,
        })
    } else if text.chars().any(char::is_control) {
        Err(Invalid::ControlCharacter)
    } else {
        Ok(text.to_owned())
    }
}

pub(super) fn database(text: &str) -> Result<Database, Invalid> {
    if text.starts_with("postgres:") || text.starts_with("postgresql:") {
        return postgres(text).ok_or(Invalid::Postgres);
    }
    let path = text.strip_prefix("sqlite:").ok_or(Invalid::Database)?;
    let path = path.strip_prefix("//").unwrap_or(path);
    // A ledger in memory (`:memory:`) would lose what it has accepted, and options (`?mode=…`)
    // would be taken for a part of the file's name.
    if path.starts_with(':') || path.contains('?') || path.ends_with('/') {
        return Err(Invalid::Database);
    }
    self::path(path).map(Database::Sqlite)
}

fn postgres(text: &str) -> Option<Database> {
    let url = Url::parse(text).ok()?;
    // A server may also be named in the options, as that of a socket must be.
    let has_host = url.host_str().is_some_and(|host| !host.is_empty())
        || url.query_pairs().any(|(name, _)| name.starts_with("host"));
    (has_host && url.fragment().is_none()).then(|| Database::Postgres(SecretText::from(text)))
}

pub(super) fn platform_token(text: &str) -> Result<SecretText, Invalid> {
    keys::check_token(text)?;
    Ok(SecretText::from(text))
}

pub(super) fn master_key(text: &str) -> Result<SecretText, Invalid> {
    keys::parse_master_keys(text)?;
    Ok(SecretText::from(text))
}

pub(super) fn stripe_secrets(text: &str) -> Result<Vec<EndpointSecret>, Invalid> {
    let entries: Vec<&str> = text.split(',').map(str::trim).collect();
    if entries.len() > signature::SECRETS_MAX {
        return Err(Invalid::TooMany {
            count: entries.len(),
            max: signature::SECRETS_MAX,
        });
    }
    let read = |(number, entry): (usize, &str)| {
        EndpointSecret::parse(entry).map_err(|source| Invalid::StripeSecret { number, source })
    };
    (1..).zip(entries).map(read).collect()
}

pub(super) fn stripe_mode(text: &str) -> Result<Mode, Invalid> {
    match text {
        "any" => Ok(Mode::Any),
        "live" => Ok(Mode::Live),
        "test" => Ok(Mode::Test),
        _ => Err(Invalid::StripeMode),
    }
}

pub(super) fn hs256_secret(secret: &str) -> Result<SecretText, Invalid> {
    if secret.len() < HS256_SECRET_BYTES_MIN {
        return Err(Invalid::Hs256Secret {
            bytes: secret.len(),
        });
    }
    text(secret).map(SecretText::from)
}

pub(super) fn log_filter(filter: &str) -> Result<String, Invalid> {
    let filter = text(filter)?;
    EnvFilter::try_new(&filter).map_err(|_| Invalid::LogFilter)?;
    if filter.split(',').any(is_misspelt_level) {
        return Err(Invalid::LogFilter);
    }
    Ok(filter)
}

/// Whether a directive is a single word but no level. The filter itself would take `verbose` for
/// the name of a target, and then log nothing.
fn is_misspelt_level(directive: &str) -> bool {
    !directive.contains(['=', '[']) && directive.trim().parse::<LevelFilter>().is_err()
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, Invalid> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Invalid::LogFormat),
    }
}
