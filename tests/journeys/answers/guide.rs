//! The guide and the rows that are tried say the same.

use chrono::Utc;

use super::table::{Gives, Next, Row, Stays, rows};

/// The part of the guide that has the tables.
const SECTION: &str = "## Every answer and failure";
/// What begins each table.
const HEAD: [&str; 2] = [
    "| the receiver | outcome, `error.code`, `response_status` | what happens next | the webhook |",
    "|---|---|---|---|",
];

/// A row as it stands in the guide.
fn line(row: &Row) -> String {
    let has_status = row.cases.iter().all(|case| case.status.is_some());
    let status = if has_status { "the status" } else { "null" };
    let gives = match row.gives {
        Gives::Success => format!("succeeded, null, {status}"),
        Gives::Failure(code) => format!("failed, `{code}`, {status}"),
    };
    let next = match row.next {
        Next::Nothing => "nothing: it has `succeeded`",
        Next::Schedule => "the schedule's next wait",
        Next::ScheduleOnceActive => "the schedule's next wait, and until it is active again",
        Next::AsAsked => "when the receiver asks for",
        Next::ADayLater => "after 24 h",
    };
    let stays = match row.stays {
        Stays::AsItIs => "stays; earlier failures are forgotten",
        Stays::Answered => "stays",
        Stays::Unreached => "stays; its circuit counts it",
        Stays::NotAsked => "stays; its circuit passes it over",
        Stays::Gone => "is disabled: `gone`",
    };
    format!("| {} | {gives} | {next} | {stays} |", row.does)
}

/// The tables as they must stand in the guide, with their headings.
fn tables() -> Vec<String> {
    let (mut lines, mut group) = (Vec::new(), "");
    for row in rows(Utc::now()) {
        if row.group != group {
            group = row.group;
            lines.push(format!("### {group}"));
            lines.extend(HEAD.map(str::to_owned));
        }
        lines.push(line(&row));
    }
    lines
}

#[test]
fn the_guides_tables_are_those_that_are_tried() {
    let guide = std::fs::read_to_string("docs/guide/retries.md").unwrap();
    let (_, section) = guide.split_once(SECTION).unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let found: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with(['|', '#']))
        .collect();
    let expected = tables();
    assert!(
        found == expected,
        "the guide should say:\n\n{}\n",
        expected.join("\n")
    );
}

#[test]
fn every_row_is_tried() {
    for row in rows(Utc::now()) {
        assert!(!row.cases.is_empty(), "{}", row.does);
    }
}
