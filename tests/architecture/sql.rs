//! SQL stands in the store, one statement a file. Every engine has the same questions and the same
//! migrations; how it writes is its own affair.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};

use super::{Broken, File, paths};

const STARTS: &[&str] = &[
    "SELECT ",
    "INSERT INTO ",
    "INSERT OR ",
    "UPDATE ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "CREATE INDEX ",
    "DROP TABLE ",
    "ALTER TABLE ",
    "PRAGMA ",
    "WITH RECURSIVE ",
];

fn is_home(path: &str) -> bool {
    path.starts_with("src/store/") || path == "src/store.rs"
}

/// SQL in the sources of other rooms. Tests may look past the store.
pub(super) fn strangers(file: &File) -> Vec<Broken> {
    let is_source = ["src/", "domain/src/", "projections/src/"]
        .iter()
        .any(|home| file.path.starts_with(home));
    let mut broken = Vec::new();
    if is_source && !is_home(&file.path) && !file.is_test() {
        literals(paths::tokens(file), &mut |line, text| {
            let text = text.trim_start_matches(['"', 'r', 'b', '#', '\\', 'n', ' ']);
            // "UPDATE" alone may start a sentence.
            let is_whole = !text.starts_with("UPDATE ") || text.contains(" SET ");
            if is_whole && STARTS.iter().any(|start| text.starts_with(start)) {
                broken.push(Broken {
                    path: file.path.clone(),
                    line,
                    rule: "SQL stands in src/store only".to_owned(),
                });
            }
        });
    }
    broken
}

fn literals(stream: TokenStream, see: &mut impl FnMut(usize, &str)) {
    for token in stream {
        match token {
            TokenTree::Literal(literal) => see(literal.span().start().line, &literal.to_string()),
            TokenTree::Group(group) => literals(group.stream(), see),
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

/// A file of SQL outside the store. What older versions wrote, which tests open, is no code.
pub(super) fn misplaced(file: &File) -> Option<Broken> {
    let is_fixture = file.path.starts_with("tests/fixtures/");
    let is_stranger = file.has_extension("sql") && !is_home(&file.path) && !is_fixture;
    is_stranger.then(|| Broken {
        path: file.path.clone(),
        line: 1,
        rule: "files of SQL lie in src/store/sql and src/store/migrations".to_owned(),
    })
}

/// Files of SQL by kind and engine: `("sql", "sqlite")` → names.
fn by_engine(files: &[File]) -> BTreeMap<(&str, &str), BTreeSet<&str>> {
    let mut found: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.has_extension("sql")) {
        let Some(inside) = file.path.strip_prefix("src/store/") else {
            continue;
        };
        if let [kind, engine, name] = inside.split('/').collect::<Vec<_>>()[..] {
            found
                .entry((kind, engine))
                .or_default()
                .insert(name.trim_end_matches(".sql"));
        }
    }
    found
}

/// Files that nothing in the store of their engine includes.
pub(super) fn unused(files: &[File]) -> Vec<Broken> {
    let mut broken = Vec::new();
    for ((kind, engine), names) in by_engine(files) {
        let home = format!("src/store/{engine}");
        let sources: Vec<&File> = files
            .iter()
            .filter(|file| file.has_extension("rs") && file.path.starts_with(&home))
            .collect();
        for name in names {
            let mentions = [format!("\"{name}\""), format!("/{name}.sql\"")];
            let is_used = sources
                .iter()
                .any(|file| mentions.iter().any(|mention| file.text.contains(mention)));
            if !is_used {
                broken.push(Broken {
                    path: format!("src/store/{kind}/{engine}/{name}.sql"),
                    line: 1,
                    rule: format!("nothing in {home} uses it"),
                });
            }
        }
    }
    broken
}

/// Whether all engines must have a file of this name: views are asked the same everywhere, but one
/// engine may write row by row and another one a whole batch in a statement.
fn is_shared(kind: &str, name: &str) -> bool {
    kind == "migrations" || name.starts_with("select_")
}

/// Migrations and questions that one engine has and another has not, and migrations that do not
/// count up from 1.
pub(super) fn unpaired(files: &[File]) -> Vec<Broken> {
    let found = by_engine(files);
    let mut broken = Vec::new();
    for ((kind, engine), names) in &found {
        for ((_, other), others) in found.iter().filter(|((same, _), _)| same == kind) {
            let lacking = others.difference(names);
            let lacking = lacking.filter(|name| is_shared(kind, name));
            broken.extend(lacking.map(|name| Broken {
                path: format!("src/store/{kind}/{other}/{name}.sql"),
                line: 1,
                rule: format!("{engine} has no {kind}/{engine}/{name}.sql"),
            }));
        }
        let numbered = names.iter().enumerate().filter(|_| *kind == "migrations");
        broken.extend(
            numbered
                .filter(|(index, name)| !name.starts_with(&format!("{:04}_", index + 1)))
                .map(|(index, name)| Broken {
                    path: format!("src/store/{kind}/{engine}/{name}.sql"),
                    line: 1,
                    rule: format!("the next migration has number {:04}", index + 1),
                }),
        );
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_elsewhere_is_named() {
        let source = "fn f() {\n    query(\"SELECT * FROM t\");\n    g(r#\"UPDATE t SET a = 1\"#);\n    h(\"UPDATE me, please; SELECT\");\n}";
        let lines: Vec<usize> = strangers(&File::new("src/http/logs.rs", source))
            .iter()
            .map(|b| b.line)
            .collect();
        assert_eq!(lines, [2, 3]);
        assert_eq!(
            strangers(&File::new("src/store/sqlite/reads.rs", source)),
            []
        );
        assert!(misplaced(&File::new("src/http/x.sql", "SELECT 1")).is_some());
        assert!(misplaced(&File::new("src/store/sql/sqlite/x.sql", "SELECT 1")).is_none());
    }

    #[test]
    fn a_file_that_nothing_uses_is_named() {
        let files = [
            File::new("src/store/sql/sqlite/used.sql", ""),
            File::new("src/store/sql/sqlite/unused.sql", ""),
            File::new("src/store/migrations/sqlite/0001_a.sql", ""),
            File::new(
                "src/store/sqlite/reads.rs",
                "sql!(\"used\"); include_str!(\"../migrations/sqlite/0001_a.sql\")",
            ),
        ];
        let broken = unused(&files);
        assert_eq!(broken.len(), 1);
        assert_eq!(broken[0].path, "src/store/sql/sqlite/unused.sql");
    }

    #[test]
    fn what_one_engine_lacks_and_gaps_are_named() {
        let files = [
            File::new("src/store/sql/sqlite/select_a.sql", ""),
            File::new("src/store/sql/sqlite/select_b.sql", ""),
            File::new("src/store/sql/postgres/select_a.sql", ""),
            File::new("src/store/migrations/sqlite/0001_a.sql", ""),
            File::new("src/store/migrations/sqlite/0003_b.sql", ""),
            File::new("src/store/migrations/postgres/0001_a.sql", ""),
        ];
        let mut rules: Vec<String> = unpaired(&files)
            .into_iter()
            .map(|broken| broken.rule)
            .collect();
        rules.sort();
        assert_eq!(
            rules,
            [
                "postgres has no migrations/postgres/0003_b.sql",
                "postgres has no sql/postgres/select_b.sql",
                "the next migration has number 0002",
            ]
        );
    }

    #[test]
    fn engines_may_write_in_their_own_ways() {
        let files = [
            File::new("src/store/sql/sqlite/insert_event.sql", ""),
            File::new("src/store/sql/sqlite/select_a.sql", ""),
            File::new("src/store/sql/postgres/append_events.sql", ""),
            File::new("src/store/sql/postgres/select_a.sql", ""),
        ];
        assert_eq!(unpaired(&files), []);
    }
}
