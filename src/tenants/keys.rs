//! Master keys: whether those that are there fit the ledger, and bringing all secrets under the
//! newest one.

mod fit;
mod rotation;

pub use fit::{MissingKey, Unfit, check_keys};
pub use rotation::KeysRotated;

use chrono::{DateTime, Utc};
use hookledger_domain::{
    actor::Origin,
    ids::WebhookId,
    tenant::TenantId,
    vault::{self, Vault},
    webhook::SealedSecret,
};

use crate::store::{self, CommandError, Ledger, Views, WebhookSecrets};

/// So many webhooks are read at a time.
const PAGE: u32 = 500;

/// Goes through the secrets of all webhooks that are not deleted.
struct Walk<'a> {
    views: &'a Views,
    after: Option<(TenantId, WebhookId)>,
}

impl<'a> Walk<'a> {
    fn new(views: &'a Views) -> Self {
        Self { views, after: None }
    }

    /// The next page; an empty one at the end.
    async fn next(&mut self) -> Result<Vec<WebhookSecrets>, store::Error> {
        let after = self.after.as_ref();
        let after = after.map(|(tenant, webhook)| (tenant, *webhook));
        let page = self.views.webhook_secrets(after, PAGE).await?;
        if let Some(last) = page.last() {
            self.after = Some((last.tenant_id.clone(), last.webhook_id));
        }
        Ok(page)
    }
}

/// The secrets that are valid at `now`.
fn live(found: &WebhookSecrets, now: DateTime<Utc>) -> impl Iterator<Item = &SealedSecret> {
    let secrets = &found.secrets;
    let previous = secrets.previous.iter();
    let previous = previous.filter(move |previous| previous.expires_at > now);
    std::iter::once(&secrets.current).chain(previous.map(|previous| &previous.secret))
}

/// The id of the master key that the ledger's secrets are to be sealed with; `None` if it was not
/// noted yet.
async fn adopted(ledger: &Ledger) -> Result<Option<String>, store::Error> {
    let stream = ledger.load::<Vault>(vault::ID).await?;
    Ok(stream.state.adopted().map(str::to_owned))
}

/// Notes with which master key secrets are sealed from now on; with `is_first` only if none was
/// noted yet. Returns whether it was.
async fn adopt(
    ledger: &Ledger,
    key_id: String,
    is_first: bool,
    origin: &Origin,
) -> Result<bool, store::Error> {
    let command = vault::Command::Adopt { key_id };
    let expected = is_first.then_some(0);
    let done = ledger.execute::<Vault>(vault::ID, command, &(), expected, origin);
    match done.await {
        Ok(_) => Ok(true),
        Err(CommandError::WrongVersion) => Ok(false),
        Err(CommandError::Refused(never)) => match never {},
        Err(CommandError::Store(error)) => Err(error),
    }
}
