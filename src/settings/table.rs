//! The one list of settings.

use std::{io::IsTerminal, path::PathBuf};

use super::{
    JwtKey, Settings,
    definition::{BOOLEAN, Definition, Fallback, PLAIN, Shown},
    parse,
    parse::Invalid,
};

/// Every setting. A computed default may use those that stand above it.
pub static TABLE: &[Definition] = &[
    Definition {
        name: "listen",
        value_name: "ADDRESS",
        help: "IP address and port that the server listens on; port 0 lets the system choose",
        fallback: Fallback::Value("127.0.0.1:8080"),
        set: |s, text| put(&mut s.listen, parse::address(text)),
        ..PLAIN
    },
    Definition {
        name: "data_dir",
        value_name: "DIR",
        help: "Directory of the embedded ledger and the key files; created with mode 0700",
        fallback: Fallback::Value("./hookledger-data"),
        set: |s, text| put(&mut s.data_dir, parse::path(text)),
        ..PLAIN
    },
    Definition {
        name: "database_url",
        value_name: "URL",
        help: "Where the ledger is: sqlite:PATH, or postgres://USER:PASSWORD@HOST:PORT/DATABASE with \
               sslmode and the like as libpq knows them",
        fallback: Fallback::Computed("sqlite: file in the data directory", |s| {
            // Its components, since `sqlite:` would read a leading `//` as a part of the scheme.
            let file: PathBuf = s.data_dir.join("hookledger.db").components().collect();
            format!("sqlite:{}", file.display())
        }),
        shown: Shown::WithoutPassword,
        set: |s, text| put(&mut s.database, parse::database(text)),
        ..PLAIN
    },
    Definition {
        name: "database_readers",
        value_name: "COUNT",
        help: "Connections to PostgreSQL that answer questions, at most; 1 to 1000",
        fallback: Fallback::Value("8"),
        set: |s, text| put(&mut s.database_readers, parse::count(text, 1, 1000)),
        ..PLAIN
    },
    Definition {
        name: "database_writers",
        value_name: "COUNT",
        help: "Connections to PostgreSQL that append, 1 to 16",
        fallback: Fallback::Value("2"),
        set: |s, text| put(&mut s.database_writers, parse::count(text, 1, 16)),
        ..PLAIN
    },
    Definition {
        name: "database_statement_timeout",
        value_name: "DURATION",
        help: "How long one statement may take at PostgreSQL, 1s to 10m",
        fallback: Fallback::Value("10s"),
        set: |s, text| {
            put(
                &mut s.database_statement_timeout,
                parse::lease_or_timeout(text),
            )
        },
        ..PLAIN
    },
    Definition {
        name: "node_lease",
        value_name: "DURATION",
        help: "How long after a node's end the others take its tenants over, 1s to 10m; \
               PostgreSQL only",
        fallback: Fallback::Value("10s"),
        set: |s, text| put(&mut s.node_lease, parse::lease_or_timeout(text)),
        ..PLAIN
    },
    Definition {
        name: "platform_token",
        value_name: "TOKEN",
        help: "Token with every permission, at least 32 characters; better set by its variable, \
               since others can see a process's flags",
        fallback: Fallback::Unset("made at first start, in <data-dir>/platform-token"),
        shown: Shown::Masked,
        set: |s, text| put_some(&mut s.platform_token, parse::platform_token(text)),
        ..PLAIN
    },
    Definition {
        name: "master_key",
        value_name: "KEYS",
        help: "Base64 of the 32 bytes that seal webhooks' secrets; comma-separated when rotating, \
               newest first; better set by its variable",
        fallback: Fallback::Unset("made at first start, in <data-dir>/master.key"),
        shown: Shown::Masked,
        set: |s, text| put_some(&mut s.master_key, parse::master_key(text)),
        ..PLAIN
    },
    Definition {
        name: "egress_allow",
        value_name: "CIDRS",
        help: "Networks (CIDR, optionally with :port) that targets may resolve to besides public \
               addresses, comma-separated, at most 256",
        fallback: Fallback::Value(""),
        is_list: true,
        set: |s, text| put(&mut s.egress_allow, parse::allowances(text)),
        ..PLAIN
    },
    Definition {
        name: "allow_http",
        value_name: BOOLEAN,
        help: "Accept http:// targets",
        fallback: Fallback::Value("false"),
        set: |s, text| put(&mut s.allow_http, parse::boolean(text)),
        ..PLAIN
    },
    Definition {
        name: "delivery_timeout",
        value_name: "DURATION",
        help: "The whole of one attempt (DNS, connect, TLS, headers and body), 100ms to 1m",
        fallback: Fallback::Value("10s"),
        set: |s, text| put(&mut s.delivery_timeout, parse::delivery_timeout(text)),
        ..PLAIN
    },
    Definition {
        name: "retry_schedule",
        value_name: "DURATIONS",
        help: "Waits after each failed attempt, comma-separated, at most 50 of at most 30d; empty \
               means no retries",
        fallback: Fallback::Value("5s,5m,30m,2h,5h,10h,14h,20h,24h"),
        is_list: true,
        set: |s, text| put(&mut s.retry_schedule, parse::retry_schedule(text)),
        ..PLAIN
    },
    Definition {
        name: "retry_jitter",
        value_name: "SHARE",
        help: "Share, 0 to 1, by which a wait may be longer or shorter",
        fallback: Fallback::Value("0.2"),
        set: |s, text| put(&mut s.retry_jitter, parse::share(text)),
        ..PLAIN
    },
    Definition {
        name: "disable_after",
        value_name: "DURATION",
        help: "Disable a webhook (failing) whose attempts have all failed for this long, 1s to 365d",
        fallback: Fallback::Value("5d"),
        set: |s, text| put(&mut s.disable_after, parse::disable_after(text)),
        ..PLAIN
    },
    Definition {
        name: "max_in_flight",
        value_name: "COUNT",
        help: "Concurrent attempts of the process, 1 to 65536",
        fallback: Fallback::Value("1024"),
        set: |s, text| put(&mut s.max_in_flight, parse::in_flight(text)),
        ..PLAIN
    },
    Definition {
        name: "max_in_flight_per_tenant",
        value_name: "COUNT",
        help: "Concurrent attempts of one tenant, 1 to 65536",
        fallback: Fallback::Value("256"),
        set: |s, text| put(&mut s.max_in_flight_per_tenant, parse::in_flight(text)),
        ..PLAIN
    },
    Definition {
        name: "max_in_flight_per_webhook",
        value_name: "COUNT",
        help: "Concurrent attempts of one webhook, 1 to 65536",
        fallback: Fallback::Value("64"),
        set: |s, text| put(&mut s.max_in_flight_per_webhook, parse::in_flight(text)),
        ..PLAIN
    },
    Definition {
        name: "retention_bodies",
        value_name: "DURATION",
        help: "How long bodies of messages and answers are kept, 1s to 3650d; then they are erased, \
               unless they are still to be sent",
        fallback: Fallback::Value("30d"),
        set: |s, text| put(&mut s.retention_bodies, parse::retention(text)),
        ..PLAIN
    },
    Definition {
        name: "seal_every",
        value_name: "DURATION",
        help: "How old the last seal of the ledger may get until the next one is made, 1m to 365d",
        fallback: Fallback::Value("1d"),
        set: |s, text| put(&mut s.seal_every, parse::seal_every(text)),
        ..PLAIN
    },
    Definition {
        name: "seal_key_file",
        value_name: "FILE",
        help: "PEM file (PKCS#8) of the Ed25519 key that signs seals; not signed when unset",
        set: |s, text| put_some(&mut s.seal_key_file, parse::path(text)),
        ..PLAIN
    },
    Definition {
        name: "stripe_webhook_secret",
        value_name: "SECRETS",
        help: "Signing secret of Stripe's webhook endpoint (whsec_...); comma-separated while rolling, at \
               most 10; better set by its variable",
        fallback: Fallback::Unset("unset: the callback answers 503"),
        shown: Shown::Masked,
        set: |s, text| put(&mut s.stripe_webhook_secrets, parse::stripe_secrets(text)),
        ..PLAIN
    },
    Definition {
        name: "stripe_mode",
        value_name: "MODE",
        help: "Which of Stripe's callbacks count: live, test, or any of them; others are recorded as \
               ignored",
        fallback: Fallback::Value("any"),
        set: |s, text| put(&mut s.billing.mode, parse::stripe_mode(text)),
        ..PLAIN
    },
    Definition {
        name: "stripe_suspend",
        value_name: BOOLEAN,
        help: "Suspend tenants whose subscription is unpaid or canceled, until one is active, trialing \
               or past due",
        fallback: Fallback::Value("false"),
        set: |s, text| put(&mut s.billing.suspends, parse::boolean(text)),
        ..PLAIN
    },
    Definition {
        name: "jwt_public_key_file",
        value_name: "FILE",
        help: "PEM file of the public key that checks JWTs (one of three ways to switch them on)",
        fallback: Fallback::Unset("unset"),
        set: |s, text| put_jwt_key(s, parse::path(text).map(JwtKey::PublicKeyFile)),
        ..PLAIN
    },
    Definition {
        name: "jwt_jwks_file",
        value_name: "FILE",
        help: "JSON Web Key Set that checks JWTs (one of three ways to switch them on)",
        fallback: Fallback::Unset("unset"),
        set: |s, text| put_jwt_key(s, parse::path(text).map(JwtKey::JwksFile)),
        ..PLAIN
    },
    Definition {
        name: "jwt_hs256_secret",
        value_name: "SECRET",
        help: "Shared secret that checks JWTs, at least 32 bytes (one of three ways to switch \
               them on); better set by its variable",
        fallback: Fallback::Unset("unset"),
        shown: Shown::Masked,
        set: |s, text| put_jwt_key(s, parse::hs256_secret(text).map(JwtKey::Hs256Secret)),
        ..PLAIN
    },
    Definition {
        name: "jwt_issuer",
        value_name: "TEXT",
        help: "The iss that JWTs must have; not checked when unset",
        fallback: Fallback::Unset("unset"),
        set: |s, text| put_beside_jwt_key(s, text, |jwt| &mut jwt.issuer),
        ..PLAIN
    },
    Definition {
        name: "jwt_audience",
        value_name: "TEXT",
        help: "The aud that JWTs must have; not checked when unset",
        fallback: Fallback::Unset("unset"),
        set: |s, text| put_beside_jwt_key(s, text, |jwt| &mut jwt.audience),
        ..PLAIN
    },
    Definition {
        name: "jwt_tenant_claim",
        value_name: "CLAIM",
        help: "The claim of JWTs that names the tenant",
        fallback: Fallback::Value("tenant_id"),
        set: |s, text| put(&mut s.jwt.tenant_claim, parse::text(text)),
        ..PLAIN
    },
    Definition {
        name: "jwt_role_claim",
        value_name: "CLAIM",
        help: "The claim of JWTs that names the role",
        fallback: Fallback::Value("role"),
        set: |s, text| put(&mut s.jwt.role_claim, parse::text(text)),
        ..PLAIN
    },
    Definition {
        name: "log",
        value_name: "FILTER",
        help: "What is logged: a level, or directives such as info,hookledger=debug",
        fallback: Fallback::Value("info"),
        set: |s, text| put(&mut s.log, parse::log_filter(text)),
        ..PLAIN
    },
    Definition {
        name: "log_format",
        value_name: "FORMAT",
        help: "How the log is written: text or json",
        fallback: Fallback::Computed("text on a terminal, else json", |_| {
            let is_terminal = std::io::stderr().is_terminal();
            if is_terminal { "text" } else { "json" }.to_owned()
        }),
        set: |s, text| put(&mut s.log_format, parse::log_format(text)),
        ..PLAIN
    },
];

fn put<T>(field: &mut T, value: Result<T, Invalid>) -> Result<(), Invalid> {
    *field = value?;
    Ok(())
}

fn put_some<T>(field: &mut Option<T>, value: Result<T, Invalid>) -> Result<(), Invalid> {
    put(field, value.map(Some))
}

/// Two keys would leave open which of them decides.
fn put_jwt_key(settings: &mut Settings, key: Result<JwtKey, Invalid>) -> Result<(), Invalid> {
    if settings.jwt.key.is_some() {
        return Err(Invalid::SecondJwtKey);
    }
    put_some(&mut settings.jwt.key, key)
}

/// An issuer or audience without a key (which stands above it in the table) is a mistake: the
/// operator believes JWTs to be on.
fn put_beside_jwt_key(
    settings: &mut Settings,
    text: &str,
    field: fn(&mut super::Jwt) -> &mut Option<String>,
) -> Result<(), Invalid> {
    if settings.jwt.key.is_none() {
        return Err(Invalid::NoJwtKey);
    }
    put_some(field(&mut settings.jwt), parse::text(text))
}
