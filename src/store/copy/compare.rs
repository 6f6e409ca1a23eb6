//! Where two ledgers differ, in words.

use std::{collections::BTreeMap, fmt::Display};

use super::Side;
use crate::store::{Head, Seal, StoredEvent};

/// The first thing that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// One side does not have it.
    #[error("{what} is missing in the {side}")]
    Missing {
        /// What, with its id.
        what: String,
        /// Who does not have it.
        side: Side,
    },
    /// Both have it, but not the same.
    #[error("{what} is another one in the target than in the source")]
    Other {
        /// What, with its id.
        what: String,
    },
}

/// Compares the next event of each side. Gives it if both have the same, and nothing if both have
/// none.
pub(super) fn events(
    source: Option<StoredEvent>,
    mut target: Option<StoredEvent>,
) -> Result<Option<StoredEvent>, Difference> {
    if let (Some(ours), Some(theirs)) = (&source, &mut target) {
        forget_erased(&ours.body, &mut theirs.body);
    }
    match (source, target) {
        (None, None) => Ok(None),
        (Some(ours), Some(theirs)) if ours == theirs => Ok(Some(ours)),
        (Some(ours), Some(theirs)) if ours.position == theirs.position => Err(Difference::Other {
            what: format!("the {} of {}", part(&ours, &theirs), name(&ours)),
        }),
        (Some(ours), Some(theirs)) if ours.position > theirs.position => {
            Err(missing(name(&theirs), Side::Source))
        }
        (Some(ours), _) => Err(missing(name(&ours), Side::Target)),
        (None, Some(theirs)) => Err(missing(name(&theirs), Side::Source)),
    }
}

/// What was erased in the source after it had been copied is still in the target, which erases it
/// itself in its time. That is no difference; a body that only the source has is one.
pub(super) fn forget_erased<T>(source: &Option<T>, target: &mut Option<T>) {
    if source.is_none() {
        *target = None;
    }
}

fn missing(what: String, side: Side) -> Difference {
    Difference::Missing { what, side }
}

fn name(event: &StoredEvent) -> String {
    format!(
        "the event at position {} ({} {}, number {})",
        event.position, event.aggregate_type, event.aggregate_id, event.sequence
    )
}

/// The first part in which two events differ.
fn part(ours: &StoredEvent, theirs: &StoredEvent) -> &'static str {
    let parts = [
        ("tenant", ours.tenant_id == theirs.tenant_id),
        ("time", ours.recorded_at == theirs.recorded_at),
        (
            "place in its aggregate",
            (&ours.aggregate_type, &ours.aggregate_id, ours.sequence)
                == (
                    &theirs.aggregate_type,
                    &theirs.aggregate_id,
                    theirs.sequence,
                ),
        ),
        ("type", ours.event_type == theirs.event_type),
        ("version", ours.event_version == theirs.event_version),
        ("payload", ours.payload == theirs.payload),
        ("metadata", ours.metadata == theirs.metadata),
        ("hash", ours.hash == theirs.hash),
    ];
    parts
        .into_iter()
        .find_map(|(part, is_same)| (!is_same).then_some(part))
        .unwrap_or("body")
}

/// Compares what the last event of each tenant is said to be. They differ if events were removed from
/// the end of the source before it was copied.
pub(super) fn heads(
    source: &BTreeMap<String, Head>,
    target: &BTreeMap<String, Head>,
) -> Result<(), Difference> {
    let is_other = |tenant: &&String| source.get(*tenant) != target.get(*tenant);
    match source.keys().chain(target.keys()).find(is_other) {
        None => Ok(()),
        Some(tenant) => Err(Difference::Other {
            what: match tenant.as_str() {
                "" => "the head of what belongs to no tenant".to_owned(),
                tenant => format!("the head of tenant {tenant}"),
            },
        }),
    }
}

/// Compares the seals of both ledgers.
pub(super) fn seals(source: &[Seal], target: &[Seal]) -> Result<(), Difference> {
    let is_other = |place: &usize| source.get(*place) != target.get(*place);
    match (0..source.len().max(target.len())).find(is_other) {
        None => Ok(()),
        Some(place) => Err(Difference::Other {
            what: format!("seal {}", place + 1),
        }),
    }
}

/// Compares a page of a list, which falls by its ids.
pub(super) fn rows<Row: PartialEq, Id: Ord + Display>(
    kind: &str,
    id: impl Fn(&Row) -> Id,
    source: &[Row],
    target: &[Row],
) -> Result<(), Difference> {
    let is_other = |place: &usize| source.get(*place) != target.get(*place);
    let Some(place) = (0..source.len().max(target.len())).find(is_other) else {
        return Ok(());
    };
    let (ours, theirs) = (source.get(place).map(&id), target.get(place).map(&id));
    let name = |id: Option<Id>| id.map_or_else(String::new, |id| format!("{kind} {id}"));
    // Nothing comes after every id, as in a list that has ended.
    Err(match ours.cmp(&theirs) {
        std::cmp::Ordering::Greater => missing(name(ours), Side::Target),
        std::cmp::Ordering::Less => missing(name(theirs), Side::Source),
        std::cmp::Ordering::Equal => Difference::Other { what: name(ours) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Hash;

    fn event(position: u64) -> StoredEvent {
        StoredEvent {
            position,
            tenant_id: None,
            recorded_at: chrono::DateTime::UNIX_EPOCH,
            aggregate_type: "topic".to_owned(),
            aggregate_id: "a.b".to_owned(),
            sequence: 1,
            event_type: "removed".to_owned(),
            event_version: "1".to_owned(),
            payload: "{}".to_owned(),
            metadata: "{}".to_owned(),
            hash: Hash::default(),
            body: Some("text".to_owned()),
        }
    }

    #[test]
    fn the_event_that_one_side_lacks_is_named() {
        let difference =
            |ours, theirs| events(ours, theirs).map_err(|difference| difference.to_string());
        assert_eq!(difference(None, None), Ok(None));
        assert_eq!(
            difference(Some(event(7)), Some(event(7))),
            Ok(Some(event(7)))
        );
        let lacking = |side| {
            Err(format!(
                "the event at position 7 (topic a.b, number 1) is missing in the {side}"
            ))
        };
        for other in [None, Some(event(8))] {
            assert_eq!(difference(Some(event(7)), other.clone()), lacking("target"));
            assert_eq!(difference(other, Some(event(7))), lacking("source"));
        }
    }

    #[test]
    fn the_part_that_differs_is_named() {
        type Change = fn(&mut StoredEvent);
        let changes: [(&str, Change); 8] = [
            ("tenant", |event| event.tenant_id = "acme".parse().ok()),
            ("time", |event| {
                event.recorded_at += chrono::Duration::milliseconds(1);
            }),
            ("place in its aggregate", |event| event.sequence = 2),
            ("type", |event| event.event_type.push('x')),
            ("version", |event| event.event_version.push('x')),
            ("payload", |event| event.payload.push(' ')),
            ("metadata", |event| event.metadata.push(' ')),
            ("body", |event| event.body = None),
        ];
        for (part, change) in changes {
            let mut other = event(7);
            change(&mut other);
            let difference = events(Some(event(7)), Some(other)).unwrap_err();
            let text = difference.to_string();
            assert!(
                text.starts_with(&format!("the {part} of the event at")),
                "{text}"
            );
        }
    }

    #[test]
    fn what_was_erased_in_the_source_since_is_no_difference() {
        let erased = StoredEvent {
            body: None,
            ..event(7)
        };
        assert_eq!(
            events(Some(erased.clone()), Some(event(7))),
            Ok(Some(erased))
        );
    }

    #[test]
    fn the_row_that_differs_is_named() {
        let compare = |source: &[(u8, u8)], target: &[(u8, u8)]| {
            rows("number", |row| row.0, source, target).map_err(|difference| difference.to_string())
        };
        let list = [(9, 0), (7, 0), (5, 0)];
        assert_eq!(compare(&list, &list), Ok(()));
        let other = [(9, 0), (7, 1), (5, 0)];
        assert_eq!(
            compare(&list, &other),
            Err("number 7 is another one in the target than in the source".to_owned())
        );
        for fewer in [&[(9, 0), (5, 0)][..], &[(9, 0)], &[(9, 0), (6, 0), (5, 0)]] {
            assert_eq!(
                compare(&list, fewer),
                Err("number 7 is missing in the target".to_owned())
            );
            assert_eq!(
                compare(fewer, &list),
                Err("number 7 is missing in the source".to_owned())
            );
        }
    }
}
