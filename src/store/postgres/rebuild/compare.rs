//! Compares the rows of the new tables with those that are there, and puts these right.

use hookledger_projections::View;
use sqlx::{PgConnection, Row};

use crate::store::{Error, rebuild::RebuiltView};

/// By what a view's rows are told apart: a text, and an id of ours or of Stripe's if one text does not do.
struct Key {
    text: &'static str,
    /// What the id is noted in.
    id: Option<&'static str>,
}

fn key(view: View) -> Key {
    let (text, id) = match view {
        View::Tenants | View::UnassignedCallbacks => ("id", None),
        View::Topics => ("name", None),
        View::Subscriptions | View::Invoices => ("tenant_id", Some("stripe_id")),
        View::Tokens
        | View::Webhooks
        | View::Messages
        | View::Deliveries
        | View::Attempts
        | View::Recoveries => ("tenant_id", Some("id")),
    };
    Key { text, id }
}

/// That rows `a` and `b` of a view, or of the notes of what differs, have one key.
fn is_one(view: View, a: &str, b: &str, is_note: bool) -> String {
    let Key { text, id } = key(view);
    let noted = if is_note { "tenant_id" } else { text };
    let first = format!("{a}.{text} = {b}.{noted}");
    match id {
        Some(id) if is_note => format!("{first} AND {a}.id = {b}.{id}"),
        Some(_) => format!("{first} AND {a}.id = {b}.id"),
        None => first,
    }
}

/// Compares a view, takes down which rows differ, and tells how many.
pub(super) async fn view(
    connection: &mut PgConnection,
    schema: &str,
    view: View,
) -> Result<RebuiltView, Error> {
    let Key { text, id } = key(view);
    let (note, id) = match id {
        Some(note) => (note, "coalesce(o.id, t.id)"),
        None => ("id", "NULL::uuid"),
    };
    let on = is_one(view, "o", "t", false);
    let sql = format!(
        "WITH differing_now AS MATERIALIZED (
             SELECT coalesce(o.{text}, t.{text}) AS tenant_id, {id} AS id,
                    t.{text} IS NULL AS is_missing, o.{text} IS NULL AS is_surplus
               FROM hookledger_rebuild.{view} o FULL JOIN {schema}.{view} t ON {on}
              WHERE o::text IS DISTINCT FROM t::text
         ), noted AS (
             INSERT INTO hookledger_rebuild.differing (name, tenant_id, {note})
             SELECT '{view}', tenant_id, id FROM differing_now
         )
         SELECT count(*) FILTER (WHERE is_missing) AS missing,
                count(*) FILTER (WHERE is_surplus) AS surplus,
                count(*) FILTER (WHERE NOT is_missing AND NOT is_surplus) AS changed
           FROM differing_now"
    );
    let counts = sqlx::query(&sql).fetch_one(&mut *connection).await?;
    let count = |name: &str| counts.try_get::<i64, _>(name).map(i64::cast_unsigned);
    let (rows, checksum) = sum(connection, "hookledger_rebuild", view).await?;
    let (_, found_checksum) = sum(connection, schema, view).await?;
    Ok(RebuiltView {
        view,
        rows,
        checksum,
        found_checksum,
        missing: count("missing")?,
        surplus: count("surplus")?,
        changed: count("changed")?,
    })
}

/// How many rows there are, and what stands for all of them, in whatever order.
async fn sum(
    connection: &mut PgConnection,
    schema: &str,
    view: View,
) -> Result<(u64, String), Error> {
    let sql = format!(
        "SELECT count(*) AS rows,
                md5(coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text) AS checksum
           FROM {schema}.{view} t"
    );
    let row = sqlx::query(&sql).fetch_one(connection).await?;
    let rows = row.try_get::<i64, _>("rows")?.cast_unsigned();
    Ok((rows, row.try_get("checksum")?))
}

/// Begins a transaction in which nobody else changes these views. Whoever is changing them ends first, if
/// that does not take long; it fails otherwise.
pub(super) async fn hold(
    connection: &mut PgConnection,
    schema: &str,
    views: &[View],
) -> Result<(), sqlx::Error> {
    let tables: Vec<_> = views
        .iter()
        .map(|view| format!("{schema}.{view}"))
        .collect();
    let sql = format!(
        "BEGIN;
         SET LOCAL synchronous_commit = on;
         SET LOCAL lock_timeout = '100ms';
         LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
        tables.join(", ")
    );
    super::run(connection, &sql).await
}

/// Makes the rows that were found to differ what they are in the new table. All of them go before one
/// comes: what is wrong may have a place that belongs to another row.
pub(super) async fn put_right(
    connection: &mut PgConnection,
    schema: &str,
    view: View,
) -> Result<(), sqlx::Error> {
    let is_noted = |row: &str| is_one(view, row, "d", true);
    let remove = format!(
        "DELETE FROM {schema}.{view} t USING hookledger_rebuild.differing d
          WHERE d.name = '{view}' AND {}",
        is_noted("t")
    );
    sqlx::query(&remove).execute(&mut *connection).await?;
    let bring = format!(
        "INSERT INTO {schema}.{view}
         SELECT o.* FROM hookledger_rebuild.{view} o
          WHERE EXISTS (SELECT FROM hookledger_rebuild.differing d WHERE d.name = '{view}' AND {})",
        is_noted("o")
    );
    sqlx::query(&bring).execute(connection).await?;
    Ok(())
}
