//! Commands on one aggregate: carried out on the ledger, then told to the tenant's actor.

use std::future::Future;

use chrono::{DateTime, Utc};
use hookledger_domain::{
    actor::Origin,
    ids::{TokenId, WebhookId},
    permission::Role,
    signature::Secret,
    target,
    tenant::{self, IssuedToken, Tenant, TenantId},
    topic::{self, CustomTopic, Definition, Topic},
    validation::FieldError,
    webhook::{self, Changes, Webhook},
};
use hookledger_projections::rows::{TenantRow, TokenRow, WebhookRow};
use sha2::{Digest, Sha256};

use super::{Error, Tenants, hex};
use crate::vault::{Place, Sealing};

/// Webhooks.
impl Tenants {
    /// Registers a webhook and makes its first secret.
    pub async fn register_webhook(
        &self,
        tenant: &TenantId,
        changes: Changes,
        origin: Origin,
    ) -> Result<(WebhookRow, Secret), Error> {
        let shared = &self.shared;
        if shared.views.webhooks(tenant).await?.len() >= webhook::PER_TENANT_MAX {
            let detail = format!("a tenant has at most {} webhooks", webhook::PER_TENANT_MAX);
            return Err(Error::conflict("too_many_webhooks", detail));
        }
        self.check_target(&changes).await?;
        let id = shared.ids.webhook(shared.clock.now());
        let secret = Secret::from_bytes(&crate::entropy::secret_bytes());
        let place = Place {
            tenant,
            webhook: id,
            version: 1,
        };
        let sealing = shared.vault.begin().await;
        let command = webhook::Command::Register {
            tenant_id: tenant.clone(),
            changes,
            secret: sealing.seal(&secret, place)?,
        };
        self.execute_webhook(tenant, id, command, None, origin, Some(sealing))
            .await?;
        Ok((self.webhook_row(tenant, id).await?, secret))
    }

    /// Changes a webhook; `expected_version` is the one that the change is based on, if it says.
    pub async fn change_webhook(
        &self,
        tenant: &TenantId,
        id: WebhookId,
        changes: Changes,
        expected_version: Option<u64>,
        origin: Origin,
    ) -> Result<WebhookRow, Error> {
        self.check_owner(tenant, id).await?;
        self.check_target(&changes).await?;
        let command = webhook::Command::Change { changes };
        self.execute_webhook(tenant, id, command, expected_version, origin, None)
            .await?;
        self.webhook_row(tenant, id).await
    }

    /// Deletes a webhook. Its pending deliveries are cancelled in the background, also after a
    /// restart.
    pub async fn delete_webhook(
        &self,
        tenant: &TenantId,
        id: WebhookId,
        expected_version: Option<u64>,
        origin: Origin,
    ) -> Result<(), Error> {
        self.check_owner(tenant, id).await?;
        let command = webhook::Command::Delete;
        self.execute_webhook(tenant, id, command, expected_version, origin, None)
            .await?;
        Ok(())
    }

    pub(super) async fn webhook_row(
        &self,
        tenant: &TenantId,
        id: WebhookId,
    ) -> Result<WebhookRow, Error> {
        let row = self.shared.views.webhook(tenant, id).await?;
        row.filter(|row| !row.is_deleted).ok_or(Error::NotFound)
    }

    /// Judges the addresses that the URL's name has now, so that its owner hears of it at once.
    /// What can be said without asking for addresses, the webhook itself says with all the rest.
    async fn check_target(&self, changes: &Changes) -> Result<(), Error> {
        let Some(url) = &changes.url else {
            return Ok(());
        };
        if target::check(url, &self.shared.policy).is_err() {
            return Ok(());
        }
        match self.shared.sender.guard().check(url).await {
            Ok(_) => Ok(()),
            Err(refusal) => Err(Error::invalid(FieldError::new(
                "url",
                refusal.code.as_str(),
                refusal.to_string(),
            ))),
        }
    }

    /// An id of another tenant is answered like one that does not exist.
    pub(super) async fn check_owner(&self, tenant: &TenantId, id: WebhookId) -> Result<(), Error> {
        self.webhook_row(tenant, id).await.map(drop)
    }

    async fn execute_webhook(
        &self,
        tenant: &TenantId,
        id: WebhookId,
        command: webhook::Command,
        expected: Option<u64>,
        origin: Origin,
        sealing: Option<Sealing>,
    ) -> Result<(), Error> {
        let this = self.clone();
        let tenant = tenant.clone();
        self.finish(async move {
            this.shared.refresh_catalogue().await?;
            let rules = this.shared.rules();
            this.shared
                .ledger
                .execute::<Webhook>(&id.to_string(), command, &rules, expected, &origin)
                .await?;
            drop(sealing);
            this.directory.reload(&tenant).await;
            Ok(())
        })
        .await
    }

    /// Runs a command to its end even if whoever asked goes away half-way: the ledger and the
    /// actor must not be left knowing different things.
    pub(super) async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.shared
            .runtime
            .spawn(work)
            .await
            .unwrap_or_else(|error| {
                tracing::error!(%error, "a command panicked");
                Err(Error::Internal)
            })
    }
}

/// Tenants, tokens and topics.
impl Tenants {
    /// Makes a tenant known.
    pub async fn register_tenant(
        &self,
        id: TenantId,
        name: String,
        origin: Origin,
    ) -> Result<TenantRow, Error> {
        self.execute_tenant(&id, tenant::Command::Register { name }, origin)
            .await?;
        self.tenant_row(&id).await
    }

    /// Changes what is given of a tenant.
    pub async fn change_tenant(
        &self,
        id: &TenantId,
        name: Option<String>,
        stripe_customer_id: Option<Option<String>>,
        is_suspended: Option<bool>,
        origin: Origin,
    ) -> Result<TenantRow, Error> {
        let customer = stripe_customer_id.clone();
        let command = tenant::Command::Change {
            name,
            stripe_customer_id,
            is_suspended,
        };
        match customer {
            Some(customer) => self.change_customer(id, customer, command, origin).await?,
            None => self.execute_tenant(id, command, origin).await?,
        }
        self.tenant_row(id).await
    }

    /// Issues an API token; returns its row and the whole token, which is kept nowhere.
    pub async fn issue_token(
        &self,
        tenant: &TenantId,
        name: String,
        role: Role,
        expires_at: Option<DateTime<Utc>>,
        origin: Origin,
    ) -> Result<(TokenRow, String), Error> {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let now = self.shared.clock.now();
        let token_id = self.shared.ids.token(now);
        let digits = token_id.to_string().replacen("tok_", "", 1);
        let secret = URL_SAFE_NO_PAD.encode(crate::entropy::secret_bytes());
        let text = format!("hlk_{digits}_{secret}");
        let token = IssuedToken {
            token_id,
            name,
            role,
            token_sha256: hex(&Sha256::digest(text.as_bytes())),
            expires_at,
        };
        let row = TokenRow {
            id: token_id,
            tenant_id: tenant.clone(),
            name: token.name.clone(),
            role,
            token_sha256: token.token_sha256.clone(),
            expires_at,
        };
        self.execute_tenant(tenant, tenant::Command::IssueToken { token, now }, origin)
            .await?;
        Ok((row, text))
    }

    /// Revokes an API token.
    pub async fn revoke_token(
        &self,
        tenant: &TenantId,
        token_id: TokenId,
        origin: Origin,
    ) -> Result<(), Error> {
        let command = tenant::Command::RevokeToken { token_id };
        self.execute_tenant(tenant, command, origin).await.map(drop)
    }

    /// Puts a topic into the catalogue or changes it. Returns whether it is new there.
    pub async fn define_topic(
        &self,
        definition: Definition,
        origin: Origin,
    ) -> Result<bool, Error> {
        self.shared.refresh_catalogue().await?;
        let is_new = self.catalogue().get(definition.name.as_str()).is_none();
        let command = topic::Command::Define {
            description: definition.description,
            schema: definition.schema,
        };
        self.execute_topic(definition.name, command, origin).await?;
        Ok(is_new)
    }

    /// Takes a topic out of the catalogue. A built-in one cannot be taken out; what the platform has
    /// changed about it can.
    pub async fn remove_topic(&self, name: Topic, origin: Origin) -> Result<(), Error> {
        self.shared.refresh_catalogue().await?;
        let is_as_built_in = self
            .catalogue()
            .get(name.as_str())
            .is_some_and(|(_, entry)| entry.is_built_in && !entry.is_custom);
        if is_as_built_in {
            return Err(Error::conflict(
                "built_in_topic",
                "a built-in topic cannot be removed",
            ));
        }
        self.execute_topic(name, topic::Command::Remove, origin)
            .await
    }

    async fn execute_topic(
        &self,
        name: Topic,
        command: topic::Command,
        origin: Origin,
    ) -> Result<(), Error> {
        let this = self.clone();
        self.finish(async move {
            this.shared
                .ledger
                .execute::<CustomTopic>(name.as_str(), command, &(), None, &origin)
                .await?;
            Ok(this.shared.reload_catalogue().await?)
        })
        .await
    }

    pub(super) async fn execute_tenant(
        &self,
        id: &TenantId,
        command: tenant::Command,
        origin: Origin,
    ) -> Result<(), Error> {
        // What the platform does to a tenant stands in that tenant's history.
        let origin = origin.within(Some(id.clone()));
        let is_suspension = matches!(
            &command,
            tenant::Command::Change {
                is_suspended: Some(_),
                ..
            }
        );
        let (this, id) = (self.clone(), id.clone());
        self.finish(async move {
            this.shared
                .ledger
                .execute::<Tenant>(id.as_str(), command, &(), None, &origin)
                .await?;
            if is_suspension {
                this.directory.reload(&id).await;
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn tenant_row(&self, id: &TenantId) -> Result<TenantRow, Error> {
        self.shared.views.tenant(id).await?.ok_or(Error::NotFound)
    }
}
