//! Opens the ledger that the settings name.

use std::sync::Arc;

use crate::{
    metrics::Metrics,
    settings::{Database, SecretText, Settings},
    store::{self, PostgresOptions, Reader, Store},
};

/// Opens the ledger that the settings name, for those who need no server around it. Must be called
/// within [`block_on`].
pub async fn open_ledger(settings: &Settings) -> Result<Store, store::Error> {
    open_store(settings, &Arc::new(Metrics::new())).await
}

/// Opens the ledger that the settings name for reading only, also beside a server. Must be called within
/// [`block_on`].
pub async fn open_reader(settings: &Settings) -> Result<Reader, store::Error> {
    match &settings.database {
        Database::Sqlite(path) => Reader::open_sqlite(path).await,
        Database::Postgres(url) => Reader::open_postgres(&postgres_options(settings, url)).await,
    }
}

fn postgres_options(settings: &Settings, url: &SecretText) -> PostgresOptions {
    PostgresOptions {
        url: url.expose().to_owned(),
        readers: settings.database_readers,
        writers: settings.database_writers,
        statement_timeout: settings.database_statement_timeout,
    }
}

pub(super) async fn open_store(
    settings: &Settings,
    metrics: &Arc<Metrics>,
) -> Result<Store, store::Error> {
    match &settings.database {
        Database::Sqlite(path) => Store::open_sqlite(path, metrics.clone()).await,
        Database::Postgres(url) => {
            let options = postgres_options(settings, url);
            Store::open_postgres(&options, metrics.clone()).await
        }
    }
}
