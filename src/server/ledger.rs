//! Opens the ledger that the settings name.

use std::sync::Arc;

use crate::{
    metrics::Metrics,
    settings::{Database, Settings},
    store::{self, PostgresOptions, Store},
};

/// Opens the ledger that the settings name, for those who need no server around it. Must be called
/// within [`block_on`].
pub async fn open_ledger(settings: &Settings) -> Result<Store, store::Error> {
    open_store(settings, &Arc::new(Metrics::new())).await
}

pub(super) async fn open_store(
    settings: &Settings,
    metrics: &Arc<Metrics>,
) -> Result<Store, store::Error> {
    match &settings.database {
        Database::Sqlite(path) => Store::open_sqlite(path, metrics.clone()).await,
        Database::Postgres(url) => {
            let options = PostgresOptions {
                url: url.expose().to_owned(),
                readers: settings.database_readers,
                writers: settings.database_writers,
                statement_timeout: settings.database_statement_timeout,
            };
            Store::open_postgres(&options, metrics.clone()).await
        }
    }
}
