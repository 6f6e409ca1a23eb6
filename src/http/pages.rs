//! Lists: a page of rows and where the next one goes on.

use std::fmt::Display;

use actix_web::HttpResponse;
use hookledger_projections::query::{Page, Rows, encode_cursor};
use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List<T> {
    /// The rows.
    data: Vec<T>,
    /// What to give as `cursor` for the next page; `null` on the last one.
    next_cursor: Option<String>,
}

/// The answer with a page.
pub(super) fn list<Row, Id: Display, T: Serialize>(
    rows: Rows<Row, Id>,
    show: impl FnMut(Row) -> T,
) -> HttpResponse {
    HttpResponse::Ok().json(List {
        next_cursor: rows.next.as_ref().map(|id| encode_cursor(id)),
        data: rows.rows.into_iter().map(show).collect(),
    })
}

/// Takes a page out of rows that are all in memory; `is_after` says whether a row comes after
/// the id that the page before ended with.
pub(super) fn cut<Row, Id>(
    rows: impl Iterator<Item = Row>,
    page: Page<Id>,
    is_after: impl Fn(&Row, &Id) -> bool,
    id: impl Fn(&Row) -> Id,
) -> Rows<Row, Id> {
    let limit = page.limit;
    let one_more = usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    let rows = rows
        .filter(|row| page.after.as_ref().is_none_or(|after| is_after(row, after)))
        .take(one_more)
        .collect();
    Rows::cut(rows, limit, id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_to_the_whole() {
        let all = [9_u32, 7, 5, 3, 1];
        let page = |after| {
            cut(
                all.into_iter(),
                Page { limit: 2, after },
                |row, after| row < after,
                |row| *row,
            )
        };
        assert_eq!(
            page(None),
            Rows {
                rows: vec![9, 7],
                next: Some(7)
            }
        );
        assert_eq!(
            page(Some(7)),
            Rows {
                rows: vec![5, 3],
                next: Some(3)
            }
        );
        assert_eq!(
            page(Some(3)),
            Rows {
                rows: vec![1],
                next: None
            }
        );
        // The row that the cursor names may be gone by now.
        assert_eq!(
            page(Some(6)),
            Rows {
                rows: vec![5, 3],
                next: Some(3)
            }
        );
    }
}
