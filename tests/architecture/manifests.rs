//! What the pure crates may depend on.

use super::{Broken, File};

/// What `domain` is made of: values, texts, digests, and the aggregates' framework.
pub(super) const DOMAIN: &[&str] = &[
    "async-trait",
    "base64",
    "cel",
    "chrono",
    "cqrs-es",
    "hmac",
    "httpdate",
    "ipnet",
    "jsonschema",
    "regex-automata",
    "serde",
    "serde_json",
    "sha2",
    "strsim",
    "thiserror",
    "url",
    "uuid",
];
/// What `projections` is made of.
pub(super) const PROJECTIONS: &[&str] = &[
    "base64",
    "chrono",
    "hookledger-domain",
    "serde",
    "thiserror",
];

/// Dependencies that are not allowed. Those of tests are free: they are in nobody's program.
pub(super) fn check(file: &File, allowed: &[&str]) -> Vec<Broken> {
    let manifest: toml::Table = file
        .text
        .parse()
        .unwrap_or_else(|error| panic!("{}: {error}", file.path));
    let tables = ["dependencies", "build-dependencies"]
        .map(|name| manifest.get(name).and_then(toml::Value::as_table));
    let names = tables.into_iter().flatten().flat_map(toml::Table::keys);
    let mut broken: Vec<Broken> = names
        .filter(|name| !allowed.contains(&name.as_str()))
        .map(|name| Broken {
            path: file.path.clone(),
            line: line_of(&file.text, name),
            rule: format!("`{name}`: this crate is pure; tests/architecture/manifests.rs lists what it may use"),
        })
        .collect();
    if manifest.contains_key("target") {
        broken.push(Broken {
            path: file.path.clone(),
            line: line_of(&file.text, "[target"),
            rule: "a pure crate is the same everywhere".to_owned(),
        });
    }
    broken
}

fn line_of(text: &str, start: &str) -> usize {
    text.lines()
        .position(|line| line.starts_with(start))
        .map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_is_not_allowed_is_named() {
        let text = "[package]\nname = \"x\"\n\n[dependencies]\nserde.workspace = true\ntokio = \"1\"\n\n[dev-dependencies]\nrand = \"1\"\n";
        let broken = check(&File::new("domain/Cargo.toml", text), DOMAIN);
        assert_eq!(broken.len(), 1);
        assert!(
            broken[0]
                .to_string()
                .starts_with("domain/Cargo.toml:6: `tokio`"),
            "{}",
            broken[0]
        );
    }
}
