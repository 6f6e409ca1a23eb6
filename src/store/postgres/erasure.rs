//! Bodies that were kept long enough.

use chrono::{DateTime, Utc};
use hookledger_domain::ids::MessageId;
use sqlx::{Connection, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::Postgres;
use crate::store::{
    Error,
    erasure::{Mark, Place, STEP_BODIES_MAX, STEP_BYTES_MAX, Step},
};

/// Bodies, whose they are and under which ids.
#[derive(Debug, Default)]
struct Bodies {
    tenant_ids: Vec<String>,
    ids: Vec<Uuid>,
}

impl Bodies {
    fn push(&mut self, tenant_id: String, id: Uuid) {
        self.tenant_ids.push(tenant_id);
        self.ids.push(id);
    }
}

/// A body that was looked at.
struct Found {
    tenant_id: String,
    id: Uuid,
    bytes: i64,
    is_needed: bool,
}

impl Found {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            tenant_id: row.try_get("tenant_id")?,
            id: row.try_get("id")?,
            bytes: row.try_get("bytes")?,
            is_needed: row.try_get("is_needed")?,
        })
    }
}

impl Postgres {
    pub(super) async fn erase_step(
        &self,
        before: DateTime<Utc>,
        after: Option<Mark>,
    ) -> Result<Step, Error> {
        let after = match after {
            Some(Mark(Place::Id { tenant_id, id })) => (tenant_id, id),
            _ => (String::new(), Uuid::nil()),
        };
        // The smallest id of that moment, of whatever kind.
        let end = MessageId::first_at(before).uuid();
        let mut eraser = self.eraser.lock().await;
        eraser
            .with_connection(async |connection| step(connection, &after, end).await)
            .await
    }
}

async fn step(
    connection: &mut PgConnection,
    after: &(String, Uuid),
    end: Uuid,
) -> Result<Step, sqlx::Error> {
    let rows = sqlx::query(sql!("find_bodies"))
        .bind(&after.0)
        .bind(after.1)
        .bind(end)
        .bind(i64::from(STEP_BODIES_MAX))
        .fetch_all(&mut *connection)
        .await?;
    let is_full = rows.len() >= STEP_BODIES_MAX as usize;
    let (mut bodies, mut bytes) = (Bodies::default(), 0);
    let (mut last, mut was_cut) = (None, false);
    for found in rows.iter().map(Found::read) {
        let found = found?;
        was_cut = bytes >= STEP_BYTES_MAX;
        if was_cut {
            break;
        }
        last = Some(Mark(Place::Id {
            tenant_id: found.tenant_id.clone(),
            id: found.id,
        }));
        if !found.is_needed {
            bytes += found.bytes.cast_unsigned();
            bodies.push(found.tenant_id, found.id);
        }
    }
    let erased = if bodies.ids.is_empty() {
        0
    } else {
        erase(connection, &bodies).await?
    };
    let next = last.filter(|_| is_full || was_cut);
    Ok(Step { erased, next })
}

/// Two statements, because each sees what was committed when it began: nobody may ask for what a
/// body is needed for between the look and the deletion.
async fn erase(connection: &mut PgConnection, bodies: &Bodies) -> Result<u64, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let rows = sqlx::query(sql!("lock_bodies"))
        .bind(&bodies.tenant_ids)
        .bind(&bodies.ids)
        .fetch_all(&mut *transaction)
        .await?;
    let mut locked = Bodies::default();
    for row in &rows {
        locked.push(row.try_get("tenant_id")?, row.try_get("id")?);
    }
    let erased = sqlx::query(sql!("erase_bodies"))
        .bind(&locked.tenant_ids)
        .bind(&locked.ids)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    transaction.commit().await?;
    Ok(erased)
}
