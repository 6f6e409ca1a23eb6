//! The house keeps its order: which room may use which, what stays out of the pure crates, names
//! that are not used, and files and functions that fit a screen. The rules stand in `rules`; the
//! checker that reads the sources is itself tried on small made-up ones.

use std::{
    fmt,
    path::{Path, PathBuf},
};

mod files;
mod manifests;
mod paths;
mod rules;
mod sizes;
mod sql;
mod words;

/// A file of the workspace.
#[derive(Debug, Clone)]
struct File {
    /// From the root of the workspace, with `/`.
    path: String,
    text: String,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|found| found == extension)
    }

    /// Whether it is a test as a whole. Modules that are tests within other files are not meant.
    fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|part| matches!(part, "tests" | "tests.rs" | "benches"))
    }
}

/// A place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Broken {
    path: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Fails with every place where a rule is broken.
fn hold(mut broken: Vec<Broken>) {
    broken.sort();
    broken.dedup();
    let list: Vec<String> = broken.iter().map(ToString::to_string).collect();
    assert!(
        list.is_empty(),
        "{} broken:\n{}",
        list.len(),
        list.join("\n")
    );
}

#[test]
fn rooms_use_only_the_rooms_that_they_may() {
    hold(files::rust().iter().flat_map(rules::rooms).collect());
}

#[test]
fn the_pure_crates_do_no_input_or_output() {
    hold(files::rust().iter().flat_map(rules::purity).collect());
}

#[test]
fn each_library_is_used_where_it_belongs() {
    hold(files::rust().iter().flat_map(rules::libraries).collect());
}

#[test]
fn every_room_has_its_arrows() {
    let lib = files::read("src/lib.rs");
    hold(rules::unknown_rooms(&lib));
}

#[test]
fn the_pure_crates_depend_on_nothing_else() {
    hold(manifests::check(
        &files::read("domain/Cargo.toml"),
        manifests::DOMAIN,
    ));
    hold(manifests::check(
        &files::read("projections/Cargo.toml"),
        manifests::PROJECTIONS,
    ));
}

#[test]
fn words_that_mislead_are_not_used() {
    hold(files::texts().iter().flat_map(words::check).collect());
}

#[test]
fn files_and_functions_fit() {
    hold(files::rust().iter().flat_map(sizes::check).collect());
}

#[test]
fn sql_stays_in_the_store() {
    hold(files::rust().iter().flat_map(sql::strangers).collect());
    let files = files::texts();
    hold(files.iter().filter_map(sql::misplaced).collect());
}

#[test]
fn every_statement_and_migration_is_used() {
    hold(sql::unused(&files::texts()));
}

#[test]
fn engines_have_the_same_questions_and_migrations() {
    hold(sql::unpaired(&files::texts()));
}
