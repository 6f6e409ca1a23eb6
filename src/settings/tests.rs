use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use super::*;

/// Inputs of all three kinds; the file is kept for as long as the test needs it.
fn inputs(flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> Inputs {
    Inputs {
        flags: flags
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
        environment: variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect(),
        config_file: None,
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn from_file(text: &str) -> Result<Loaded, Error> {
    let file = file(text);
    load(&Inputs {
        config_file: Some(file.path().to_owned()),
        ..Inputs::default()
    })
}

fn from_variable(variable: &str, value: &str) -> Result<Loaded, Error> {
    load(&inputs(&[], &[(variable, value)]))
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let settings = load(&Inputs::default()).unwrap().settings;
    assert_eq!(settings.listen, SocketAddr::from(([127, 0, 0, 1], 8080)));
    assert_eq!(settings.data_dir, PathBuf::from("./hookledger-data"));
    let Database::Sqlite(ledger) = &settings.database else {
        panic!("another store")
    };
    assert!(ledger.starts_with(&settings.data_dir), "{ledger:?}");
    assert!(settings.platform_token.is_none() && settings.master_key.is_none());
    assert!(settings.egress_allow.is_empty() && !settings.allow_http);
    assert_eq!(settings.delivery_timeout, Duration::from_secs(10));
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    assert_eq!(
        settings.retry_schedule,
        [
            Duration::from_secs(5),
            Duration::from_secs(300),
            Duration::from_secs(1800),
            hours(2),
            hours(5),
            hours(10),
            hours(14),
            hours(20),
            hours(24),
        ]
    );
    assert!((settings.retry_jitter - 0.2).abs() < f64::EPSILON);
    assert_eq!(settings.disable_after, hours(5 * 24));
    assert_eq!(settings.max_in_flight, 1024);
    assert_eq!(settings.max_in_flight_per_tenant, 256);
    assert_eq!(settings.max_in_flight_per_webhook, 64);
    assert_eq!(settings.retention_bodies, hours(30 * 24));
    assert_eq!(settings.seal_every, hours(24));
    assert!(settings.seal_key_file.is_none());
    assert!(settings.jwt.key.is_none());
    assert_eq!(settings.jwt.tenant_claim, "tenant_id");
    assert_eq!(settings.jwt.role_claim, "role");
    assert_eq!(settings.log, "info");
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let file = file("max_in_flight = 3\nretry_jitter = 0.3\nallow_http = true\n");
    let mut inputs = inputs(
        &[("max_in_flight", "1")],
        &[
            ("HOOKLEDGER_MAX_IN_FLIGHT", "2"),
            ("HOOKLEDGER_RETRY_JITTER", "0.1"),
            ("PATH", "/bin"),
        ],
    );
    inputs.config_file = Some(file.path().to_owned());
    let Loaded { settings, report } = load(&inputs).unwrap();
    assert_eq!(settings.max_in_flight, 1);
    assert!((settings.retry_jitter - 0.1).abs() < f64::EPSILON);
    assert!(settings.allow_http);
    let source = |name: &str| report.iter().find(|line| line.name == name).unwrap().source;
    assert_eq!(source("HOOKLEDGER_MAX_IN_FLIGHT"), Source::Flag);
    assert_eq!(source("HOOKLEDGER_RETRY_JITTER"), Source::Environment);
    assert_eq!(source("HOOKLEDGER_ALLOW_HTTP"), Source::File);
    assert_eq!(source("HOOKLEDGER_LISTEN"), Source::Default);
}

#[test]
fn the_file_may_be_named_by_the_environment_and_the_flag_goes_before() {
    let (named, given) = (file("max_in_flight = 1"), file("max_in_flight = 2"));
    let mut inputs = inputs(
        &[],
        &[("HOOKLEDGER_CONFIG", named.path().to_str().unwrap())],
    );
    assert_eq!(load(&inputs).unwrap().settings.max_in_flight, 1);
    inputs.config_file = Some(given.path().to_owned());
    assert_eq!(load(&inputs).unwrap().settings.max_in_flight, 2);
}

#[test]
fn every_bad_value_names_its_setting() {
    for (name, value) in [
        ("LISTEN", "localhost"),
        ("LISTEN", "127.0.0.1"),
        ("LISTEN", "127.0.0.1:65536"),
        ("DATA_DIR", "a\nb"),
        ("DATABASE_URL", "mysql://x"),
        ("DATABASE_URL", "sqlite::memory:"),
        ("DATABASE_URL", "sqlite:"),
        ("DATABASE_URL", "sqlite:a?mode=ro"),
        ("DATABASE_URL", "postgres:"),
        ("DATABASE_URL", "postgres://"),
        ("DATABASE_READERS", "0"),
        ("DATABASE_WRITERS", "17"),
        ("DATABASE_STATEMENT_TIMEOUT", "10ms"),
        ("NODE_LEASE", "0s"),
        ("PLATFORM_TOKEN", "0123456789012345678901234567890"),
        ("MASTER_KEY", "dG9vIHNob3J0"),
        ("EGRESS_ALLOW", "10.0.0.0/8,nonsense"),
        ("EGRESS_ALLOW", "10.0.0.0/8,"),
        ("ALLOW_HTTP", "yes"),
        ("RETENTION_BODIES", "999ms"),
        ("RETENTION_BODIES", "3651d"),
        ("RETENTION_BODIES", "forever"),
        ("SEAL_EVERY", "59s"),
        ("SEAL_EVERY", "0s"),
        ("SEAL_EVERY", "366d"),
        ("SEAL_KEY_FILE", "a\nb"),
        ("DELIVERY_TIMEOUT", "99ms"),
        ("DELIVERY_TIMEOUT", "61s"),
        ("DELIVERY_TIMEOUT", "10"),
        ("RETRY_SCHEDULE", "5s,31d"),
        ("RETRY_SCHEDULE", "5s,,5s"),
        ("RETRY_JITTER", "1.01"),
        ("RETRY_JITTER", "-0.1"),
        ("RETRY_JITTER", "NaN"),
        ("DISABLE_AFTER", "999ms"),
        ("DISABLE_AFTER", "366d"),
        ("DISABLE_AFTER", "0s"),
        ("DISABLE_AFTER", "never"),
        ("MAX_IN_FLIGHT", "0"),
        ("MAX_IN_FLIGHT_PER_TENANT", "65537"),
        ("MAX_IN_FLIGHT_PER_WEBHOOK", "-1"),
        ("JWT_ISSUER", "https://id.example.com"),
        ("JWT_AUDIENCE", "hookledger"),
        ("JWT_HS256_SECRET", "short"),
        ("LOG", "loud"),
        ("LOG", "info,hookledger=loud"),
        ("LOG_FORMAT", "xml"),
    ] {
        let variable = format!("HOOKLEDGER_{name}");
        let error = from_variable(&variable, value).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{variable} (environment): ")),
            "{value}: {error}"
        );
    }
}

#[test]
fn the_bounds_of_a_duration_belong_to_it() {
    for (text, seconds) in [("1s", 1), ("365d", 365 * 24 * 3600)] {
        let loaded = from_variable("HOOKLEDGER_DISABLE_AFTER", text).unwrap();
        assert_eq!(loaded.settings.disable_after, Duration::from_secs(seconds));
    }
}

#[test]
fn a_bad_flag_and_a_bad_key_are_named_with_their_place() {
    let error = load(&inputs(&[("data_dir", "")], &[]))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("HOOKLEDGER_DATA_DIR (flag --data-dir): "),
        "{error}"
    );
    let error = from_file("listen = 'x'").unwrap_err().to_string();
    assert!(error.starts_with("HOOKLEDGER_LISTEN (/"), "{error}");
}

#[test]
fn a_bad_value_is_refused_even_if_another_hides_it() {
    let hidden = inputs(
        &[("retry_jitter", "0")],
        &[("HOOKLEDGER_RETRY_JITTER", "2")],
    );
    assert!(load(&hidden).is_err());
}

#[test]
fn lists_are_bounded() {
    let waits = |count: usize| vec!["1s"; count].join(",");
    let loaded = from_variable("HOOKLEDGER_RETRY_SCHEDULE", &waits(50)).unwrap();
    assert_eq!(loaded.settings.retry_schedule.len(), 50);
    assert!(from_variable("HOOKLEDGER_RETRY_SCHEDULE", &waits(51)).is_err());
    let nets = |count: usize| vec!["10.0.0.0/8"; count].join(",");
    assert!(from_variable("HOOKLEDGER_EGRESS_ALLOW", &nets(256)).is_ok());
    assert!(from_variable("HOOKLEDGER_EGRESS_ALLOW", &nets(257)).is_err());
}

#[test]
fn an_empty_variable_is_unset_except_for_lists() {
    let settings = from_variable("HOOKLEDGER_LISTEN", "").unwrap().settings;
    assert_eq!(settings.listen.port(), 8080);
    let settings = from_variable("HOOKLEDGER_RETRY_SCHEDULE", "")
        .unwrap()
        .settings;
    assert!(settings.retry_schedule.is_empty());
    assert!(from_variable("HOOKLEDGER_CONFIG", "").is_ok());
    assert!(load(&inputs(&[("listen", "")], &[])).is_err());
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known_one() {
    let error = from_variable("HOOKLEDGER_LISTN", "x")
        .unwrap_err()
        .to_string();
    assert!(error.contains("HOOKLEDGER_LISTN:"), "{error}");
    assert!(error.contains("HOOKLEDGER_LISTEN?"), "{error}");
    let error = from_file("data-dir = 'x'").unwrap_err().to_string();
    assert!(
        error.starts_with("data-dir (") && error.contains("data_dir?"),
        "{error}"
    );
}

#[test]
fn what_other_commands_read_from_the_environment_is_permitted() {
    for name in ["SERVER", "TOKEN", "LISTEN_SECRET"] {
        assert!(
            from_variable(&format!("HOOKLEDGER_{name}"), "x").is_ok(),
            "{name}"
        );
    }
}

#[test]
fn a_variable_that_is_not_utf8_is_refused() {
    let inputs = Inputs {
        environment: vec![(
            "HOOKLEDGER_DATA_DIR".into(),
            OsString::from_vec(vec![b'/', 0xff]),
        )],
        ..Inputs::default()
    };
    assert!(matches!(load(&inputs), Err(Error::NotUtf8 { .. })));
}

#[test]
fn a_file_has_lists_numbers_and_truth_values() {
    let settings = from_file(
        "retry_schedule = ['1s', '2m']\negress_allow = []\nretry_jitter = 1\nallow_http = true\n",
    )
    .unwrap()
    .settings;
    let waits = [Duration::from_secs(1), Duration::from_secs(120)];
    assert_eq!(settings.retry_schedule, waits);
    assert!(settings.allow_http && settings.egress_allow.is_empty());
    assert!(matches!(
        from_file("listen = 1979-05-27"),
        Err(Error::WrongType { .. })
    ));
    assert!(matches!(
        from_file("[listen]\na = 1"),
        Err(Error::WrongType { .. })
    ));
    assert!(matches!(
        from_file(&"#".repeat(1 << 21)),
        Err(Error::File { .. })
    ));
}

#[test]
fn a_broken_file_is_named_with_its_line_and_not_quoted() {
    let error = from_file("listen = '127.0.0.1:1'\nplatform_token = 'hunter2\n").unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );
}

#[test]
fn secrets_are_shown_nowhere() {
    let token = "t0ken-".repeat(6);
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let secret = "jwt-".repeat(8);
    let loaded = load(&inputs(
        &[],
        &[
            ("HOOKLEDGER_PLATFORM_TOKEN", &token),
            ("HOOKLEDGER_MASTER_KEY", key),
            ("HOOKLEDGER_JWT_HS256_SECRET", &secret),
        ],
    ))
    .unwrap();
    let shown = format!("{loaded:?}");
    for secret in [token.as_str(), key, &secret] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let error = from_variable("HOOKLEDGER_PLATFORM_TOKEN", "hunter2").unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );
    let error = from_variable("HOOKLEDGER_DATABASE_URL", "postgres://me:hunter2@/").unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );
    for url in [
        "postgres://me:hunter2@db/x",
        "postgres://db/x?user=me&password=hunter2",
    ] {
        let loaded = from_variable("HOOKLEDGER_DATABASE_URL", url).unwrap();
        let shown = format!("{loaded:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        let Database::Postgres(kept) = loaded.settings.database else {
            panic!("{url} is no Postgres database")
        };
        assert_eq!(kept.expose(), url);
    }
}

#[test]
fn a_database_url_is_a_path_in_each_spelling() {
    for (url, path) in [
        ("sqlite:/var/x.db", "/var/x.db"),
        ("sqlite:///var/x.db", "/var/x.db"),
        ("sqlite:x.db", "x.db"),
        ("sqlite://x.db", "x.db"),
    ] {
        let found = from_variable("HOOKLEDGER_DATABASE_URL", url).unwrap();
        let expected = Database::Sqlite(PathBuf::from(path));
        assert_eq!(found.settings.database, expected, "{url}");
    }
    let odd = load(&inputs(&[("data_dir", "//tmp/x")], &[]))
        .unwrap()
        .settings;
    assert_eq!(
        odd.database,
        Database::Sqlite(PathBuf::from("/tmp/x/hookledger.db"))
    );
}

#[test]
fn jwts_have_one_key() {
    let with = |variables: &[(&str, &str)]| load(&inputs(&[], variables));
    let jwt = with(&[
        ("HOOKLEDGER_JWT_JWKS_FILE", "keys.json"),
        ("HOOKLEDGER_JWT_ISSUER", "https://id.example.com"),
        ("HOOKLEDGER_JWT_AUDIENCE", "hookledger"),
        ("HOOKLEDGER_JWT_TENANT_CLAIM", "org"),
    ])
    .unwrap()
    .settings
    .jwt;
    assert_eq!(jwt.key, Some(JwtKey::JwksFile(PathBuf::from("keys.json"))));
    assert_eq!(jwt.issuer.as_deref(), Some("https://id.example.com"));
    assert_eq!(jwt.tenant_claim, "org");
    let error = with(&[
        ("HOOKLEDGER_JWT_JWKS_FILE", "keys.json"),
        ("HOOKLEDGER_JWT_PUBLIC_KEY_FILE", "key.pem"),
    ])
    .unwrap_err();
    assert!(error.to_string().contains("only one"), "{error}");
}

/// Each has one row, in the order of the table, with its default where that is a value.
#[test]
fn operators_find_every_setting_in_their_documents() {
    let page = std::fs::read_to_string("docs/operations.md").unwrap();
    let rows: Vec<(&str, &str)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `HOOKLEDGER_")?.split_once("` | "))
        .collect();
    let found: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    let expected: Vec<String> = TABLE
        .iter()
        .map(|definition| definition.name.to_ascii_uppercase())
        .collect();
    assert_eq!(found, expected);
    for (definition, (name, rest)) in TABLE.iter().zip(rows) {
        if let definition::Fallback::Value(value) = definition.fallback {
            let shown = match value {
                "" => "empty | ".to_owned(),
                value => format!("`{value}` | "),
            };
            assert!(rest.starts_with(&shown), "{name}: {rest}");
        }
    }
}

#[test]
fn names_are_said_in_one_form() {
    let mut seen = std::collections::BTreeSet::new();
    for definition in TABLE {
        assert!(seen.insert(definition.name), "{} twice", definition.name);
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(definition.name.chars().all(is_plain), "{}", definition.name);
        assert!(!definition.help.is_empty() && !definition.value_name.is_empty());
    }
}
