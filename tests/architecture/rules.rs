//! The arrows of the house: A → B means that A may import B. No arrow runs back.

use super::{
    Broken, File,
    paths::{self, Found},
};

/// What each room of the server may use besides itself, `domain` and what [`LIBRARIES`] lets in.
const ROOMS: &[(&str, &[&str])] = &[
    ("entropy", &[]),
    ("metrics", &[]),
    ("vault", &["entropy"]),
    ("outbound", &[]),
    ("store", &["entropy", "metrics"]),
    ("nodes", &["entropy", "metrics", "store"]),
    (
        "tenants",
        &["entropy", "metrics", "nodes", "outbound", "store", "vault"],
    ),
    ("inbound", &["metrics", "tenants"]),
    (
        "http",
        &["entropy", "inbound", "metrics", "nodes", "store", "tenants"],
    ),
    ("retention", &["metrics", "nodes", "store"]),
    ("notary", &["nodes", "store"]),
    ("settings", &[]),
    ("telemetry", &["settings"]),
    (
        "server",
        &[
            "http",
            "inbound",
            "metrics",
            "nodes",
            "notary",
            "outbound",
            "retention",
            "settings",
            "store",
            "tenants",
            "vault",
        ],
    ),
    (
        "cli",
        &["http", "notary", "server", "settings", "store", "telemetry"],
    ),
];

/// Paths that belong to some rooms only, with the reason.
const LIBRARIES: &[(&[&str], &[&str], &str)] = &[
    (
        &["sqlx", "rusqlite", "sqlite_es", "libsqlite3_sys"],
        &["store"],
        "only the store talks to databases",
    ),
    (
        &["reqwest", "hyper", "hyper_util"],
        &["outbound", "cli"],
        "only outbound makes requests to targets, and the command line to its server",
    ),
    (
        &[
            "std::net::TcpStream",
            "tokio::net::TcpStream",
            "tokio::net::lookup_host",
            "std::net::ToSocketAddrs",
        ],
        &["outbound"],
        "only outbound opens connections and resolves names",
    ),
    (&["chacha20poly1305"], &["vault"], "only the vault seals"),
    (
        &["ring"],
        &["notary"],
        "only the notary signs seals and checks their signatures",
    ),
    (
        &["actix_web", "utoipa_actix_web"],
        &["http", "server", "cli"],
        "only http answers requests",
    ),
    (
        &["actix"],
        &["tenants", "server"],
        "only tenants are actors",
    ),
    (
        &["clap", "comfy_table", "indicatif"],
        &["cli", "main"],
        "only the command line knows arguments, tables and progress bars",
    ),
    (
        &["rustix"],
        &["store"],
        "only a rebuild changes the priority of its threads",
    ),
    (
        &["governor"],
        &["tenants", "inbound"],
        "only lanes keep a pace, and whoever brings callbacks has a limit",
    ),
    (&["jsonwebtoken"], &["http"], "only http reads tokens"),
    (
        &["hookledger_projections"],
        &["store", "tenants", "http"],
        "the others know no rows",
    ),
    (
        &["rand"],
        &["entropy", "settings"],
        "randomness comes from entropy",
    ),
    (
        &["std::process::Command", "tokio::process"],
        &[],
        "the server starts no programs",
    ),
];

/// Inside the command line only the receiver and the client touch the network.
const PURE: &[&str] = &[
    "tokio",
    "actix",
    "actix_web",
    "actix_rt",
    "reqwest",
    "hyper",
    "sqlx",
    "rusqlite",
    "rand",
    "getrandom",
    "std::fs",
    "std::process",
    "std::env",
    "std::thread",
    "std::os",
    "std::io",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "chrono::Local",
    "Local::now",
    "Instant::now",
    "SystemTime::now",
    "hookledger",
];

/// The one file of the domain that asks for the time, so that no other has to.
const CLOCK: &str = "domain/src/clock.rs";

fn broken(file: &File, found: &Found, why: &str) -> Broken {
    Broken {
        path: file.path.clone(),
        line: found.line,
        rule: format!("`{}`: {why}", found.text()),
    }
}

/// The room of the server that a file belongs to.
fn room(file: &File) -> Option<&str> {
    let inside = file.path.strip_prefix("src/")?;
    let room = inside.split('/').next()?;
    Some(room.trim_end_matches(".rs"))
}

/// Imports of rooms that the file's own room may not use.
pub(super) fn rooms(file: &File) -> Vec<Broken> {
    let Some(room) = room(file) else {
        return Vec::new();
    };
    if room == "lib" {
        return Vec::new();
    }
    // The program itself knows the command line only.
    let own: &[&str] = &["cli"];
    let allowed = ROOMS
        .iter()
        .find(|(name, _)| *name == room)
        .map_or(own, |(_, allowed)| *allowed);
    let is_room = |name: &str| ROOMS.iter().any(|(known, _)| *known == name);
    let mut broken_arrows = Vec::new();
    for found in paths::find(file) {
        let Some((first, rest)) = found.parts.split_first() else {
            continue;
        };
        let Some(target) = rest.first() else { continue };
        let is_inside = first == "crate" || first == "hookledger";
        if is_inside && is_room(target) && target != room && !allowed.contains(&target.as_str()) {
            let why = format!(
                "`{room}` must not use `{target}`; it may use: {}",
                allowed.join(", ")
            );
            broken_arrows.push(broken(file, &found, &why));
        }
    }
    broken_arrows
}

/// Rooms of which [`ROOMS`] knows nothing.
pub(super) fn unknown_rooms(lib: &File) -> Vec<Broken> {
    let modules = lib.text.lines().enumerate().filter_map(|(index, line)| {
        let name = line
            .trim()
            .trim_start_matches("pub ")
            .strip_prefix("mod ")?;
        Some((index + 1, name.trim_end_matches(';')))
    });
    modules
        .filter(|(_, name)| ROOMS.iter().all(|(known, _)| known != name))
        .map(|(line, name)| Broken {
            path: lib.path.clone(),
            line,
            rule: format!("the room `{name}` has no arrows; say in tests/architecture/rules.rs what it may use"),
        })
        .collect()
}

/// Libraries in rooms where they do not belong. Tests may use what they like.
pub(super) fn libraries(file: &File) -> Vec<Broken> {
    let Some(room) = room(file) else {
        return Vec::new();
    };
    let mut strangers = Vec::new();
    for found in paths::find(file).iter().filter(|found| !found.is_test) {
        for (libraries, rooms, why) in LIBRARIES {
            let is_meant = libraries.iter().any(|library| found.starts_with(library));
            if is_meant && !rooms.contains(&room) {
                strangers.push(broken(file, found, why));
            }
        }
    }
    strangers
}

/// Whatever reaches outside in the crates that are pure.
pub(super) fn purity(file: &File) -> Vec<Broken> {
    let crates = ["domain/src/", "projections/src/"];
    let Some(home) = crates.iter().find(|home| file.path.starts_with(**home)) else {
        return Vec::new();
    };
    let mut impure = Vec::new();
    for found in paths::find(file).iter().filter(|found| !found.is_test) {
        if PURE.iter().any(|path| found.starts_with(path)) {
            impure.push(broken(
                file,
                found,
                "the pure crates do no input or output and draw no random numbers",
            ));
        }
        let asks_time = found.text().ends_with("Utc::now");
        if asks_time && file.path != CLOCK {
            impure.push(broken(
                file,
                found,
                "the time comes in with the command; only clock.rs may ask for it",
            ));
        }
        if *home == "domain/src/" && found.starts_with("hookledger_projections") {
            impure.push(broken(file, found, "domain must not use projections"));
        }
    }
    impure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(broken: &[Broken]) -> Vec<String> {
        broken.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_wrong_arrow_is_named_with_file_line_and_rule() {
        let file = File::new(
            "src/store/sqlite/rows.rs",
            "use std::fmt;\n\nuse crate::{metrics, http::Api};\n",
        );
        assert_eq!(
            places(&rooms(&file)),
            [
                "src/store/sqlite/rows.rs:3: `crate::http::Api`: `store` must not use `http`; it may use: entropy, metrics"
            ],
        );
    }

    #[test]
    fn arrows_are_seen_however_they_are_written() {
        for source in [
            "use crate::tenants::Tenants;",
            "use crate::{store, tenants};",
            "use super::tenants::Tenants;",
            "fn f() { crate::tenants::x(); }",
            "mod tests { use super::super::tenants; }",
            "use crate::tenants as t;",
        ] {
            assert_eq!(
                rooms(&File::new("src/metrics.rs", source)).len(),
                if source.contains("store") { 2 } else { 1 },
                "{source}"
            );
        }
        for fine in [
            "use crate::store::Error;",
            "use super::store;",
            "// use crate::http;",
            "const A: &str = \"crate::http\";",
        ] {
            assert_eq!(rooms(&File::new("src/tenants/lane.rs", fine)), [], "{fine}");
        }
        assert_eq!(
            rooms(&File::new("src/main.rs", "use hookledger::store::Store;")).len(),
            1
        );
        assert_eq!(
            rooms(&File::new("src/main.rs", "use hookledger::cli::Cli;")),
            []
        );
    }

    #[test]
    fn no_arrow_runs_back() {
        for (room, allowed) in ROOMS {
            for target in *allowed {
                let (_, back) = ROOMS
                    .iter()
                    .find(|(name, _)| name == target)
                    .expect("a known room");
                assert!(!back.contains(room), "{room} and {target} use each other");
            }
        }
    }

    #[test]
    fn a_library_in_the_wrong_room_is_named() {
        let file = File::new(
            "src/http/logs.rs",
            "use sqlx::Row;\nfn f() { reqwest::get(\"x\"); }\n",
        );
        let found = places(&libraries(&file));
        assert_eq!(found.len(), 2);
        assert!(
            found[0].starts_with("src/http/logs.rs:1: `sqlx::Row`: only the store"),
            "{found:?}"
        );
        assert_eq!(
            libraries(&File::new("src/outbound/sender.rs", "use reqwest::Client;")),
            []
        );
        assert_eq!(
            libraries(&File::new("src/http/tests.rs", "use reqwest::Client;")),
            []
        );
        let inline = "#[cfg(test)]\nmod tests { use reqwest::Client; }";
        assert_eq!(libraries(&File::new("src/http/logs.rs", inline)), []);
    }

    #[test]
    fn a_pure_crate_that_reaches_outside_is_named() {
        for source in [
            "use tokio::time;",
            "use std::fs::File;",
            "use std::{fmt, fs};",
            "fn f() { std::env::var(\"A\"); }",
            "use std::net::ToSocketAddrs;",
            "fn f() { chrono::Utc::now(); }",
            "fn f() { Utc::now(); }",
            "use std::time::Instant;",
            "use rand::random;",
            "use hookledger_projections::rows;",
        ] {
            assert_eq!(
                purity(&File::new("domain/src/retry.rs", source)).len(),
                1,
                "{source}"
            );
        }
        for fine in [
            "use std::net::{IpAddr, Ipv4Addr};",
            "use std::time::Duration;",
            "use std::fmt;",
        ] {
            assert_eq!(
                purity(&File::new("projections/src/rows.rs", fine)),
                [],
                "{fine}"
            );
        }
        assert_eq!(
            purity(&File::new("src/store/ledger.rs", "use std::fs;")),
            []
        );
        assert_eq!(purity(&File::new(CLOCK, "fn f() { Utc::now(); }")), []);
    }

    #[test]
    fn a_room_without_arrows_is_named() {
        let lib = File::new(
            "src/lib.rs",
            "//! x\n\npub mod store;\npub mod billing;\nmod weather;\n",
        );
        let lines: Vec<usize> = unknown_rooms(&lib)
            .iter()
            .map(|broken| broken.line)
            .collect();
        assert_eq!(lines, [4, 5]);
    }
}
