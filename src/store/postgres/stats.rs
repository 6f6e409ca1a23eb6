//! What statistics read.

use hookledger_domain::{
    ids::{AttemptId, WebhookId},
    tenant::TenantId,
    topic::Topic,
};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    Postgres,
    ask::Value::{Id, Number, Text},
    filters, rows,
};
use crate::store::{
    Error,
    stats::{Beginning, MeasuredPage, PAGE_ATTEMPTS, Scope, Told},
};

impl Postgres {
    pub(super) async fn read_last_attempts(
        &self,
        tenant: &TenantId,
        webhook: WebhookId,
        limit: u32,
    ) -> Result<Vec<Told>, Error> {
        let build = || filters::last_attempts(tenant, webhook, limit);
        let found = self.asker.built(build).await?;
        found.iter().map(rows::told).collect()
    }

    /// The index has all rows at once, so there is nothing beside its pages.
    pub(super) async fn read_beginning(&self, scope: &Scope<'_>) -> Result<Beginning, Error> {
        let values = [Text(scope.tenant.as_str()), Id(scope.webhook.uuid())];
        let read = |row: &PgRow| rows::parsed(row, "topic");
        let sql = sql!("select_topics_tried");
        Ok(Beginning {
            attempts: Vec::new(),
            before: None,
            topics: self.asker.list(sql, &values, read).await?,
        })
    }

    pub(super) async fn read_measured(
        &self,
        scope: &Scope<'_>,
        topic: &Topic,
        first: AttemptId,
    ) -> Result<MeasuredPage, Error> {
        let values = [
            Text(scope.tenant.as_str()),
            Id(scope.webhook.uuid()),
            Text(topic.as_str()),
            Id(first.uuid()),
            Id(scope.ids.end.uuid()),
            Number(i64::try_from(PAGE_ATTEMPTS).unwrap_or(i64::MAX)),
        ];
        let page = self
            .asker
            .one(sql!("select_measured"), &values, |row| {
                let last: Option<Uuid> = row.try_get("last")?;
                let last = last.map(AttemptId::from_uuid);
                Ok(MeasuredPage::new(rows::measured(row)?, last))
            })
            .await?;
        page.ok_or_else(|| Error::corrupt("no answer about attempts"))
    }
}
