//! What statistics read.

use hookledger_domain::{
    ids::{AttemptId, WebhookId},
    tenant::TenantId,
    topic::Topic,
};
use sqlx::Row;

use super::{Sqlite, filters, rows};
use crate::store::{
    Error,
    stats::{Beginning, MeasuredPage, PAGE_ATTEMPTS, Scope, Told},
};

impl Sqlite {
    pub(super) async fn read_last_attempts(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        limit: u32,
    ) -> Result<Vec<Told>, Error> {
        let mut query = filters::last_attempts(tenant, webhook, limit);
        let found = query.build().fetch_all(self.readers()).await?;
        found.iter().map(rows::told).collect()
    }

    /// What is noted comes first, and in one statement: it is moved by the thousand, and must be
    /// seen here or in the pages, not in both or in none.
    pub(super) async fn read_beginning(&self, scope: &Scope<'_>) -> Result<Beginning, Error> {
        let noted = sqlx::query(sql!("measure_noted"))
            .bind(scope.tenant.as_str())
            .bind(scope.webhook.to_string())
            .bind(scope.ids.start.to_string())
            .bind(scope.ids.end.to_string())
            .fetch_one(self.readers())
            .await?;
        let tried = sqlx::query(sql!("select_topics_tried"))
            .bind(scope.tenant.as_str())
            .bind(scope.webhook.to_string())
            .fetch_all(self.readers())
            .await?;
        let topics = tried.iter().map(|row| rows::parsed(row, "topic"));
        Ok(Beginning {
            attempts: rows::measured(&noted)?,
            before: noted.try_get("before")?,
            topics: topics.collect::<Result<_, _>>()?,
        })
    }

    pub(super) async fn read_measured(
        &self,
        scope: &Scope<'_>,
        topic: &Topic,
        first: AttemptId,
        before: Option<i64>,
    ) -> Result<MeasuredPage, Error> {
        let limit = i64::try_from(PAGE_ATTEMPTS).unwrap_or(i64::MAX);
        let row = sqlx::query(sql!("select_measured"))
            .bind(scope.tenant.as_str())
            .bind(scope.webhook.to_string())
            .bind(topic.as_str())
            .bind(first.to_string())
            .bind(scope.ids.end.to_string())
            .bind(before.unwrap_or(i64::MAX))
            .bind(limit)
            .fetch_one(self.readers())
            .await?;
        let last: Option<&str> = row.try_get("last")?;
        let last = last.map(str::parse).transpose().map_err(Error::corrupt)?;
        Ok(MeasuredPage::new(rows::measured(&row)?, last))
    }
}
