//! How the actor disables a webhook because of what attempts showed: the receiver is gone, or has
//! failed for days. The tenant's other webhooks are told in the same commit.

use std::{sync::Arc, time::Duration};

use actix::{AsyncContext, Context, Handler};
use hookledger_domain::{
    actor::Origin,
    ids::WebhookId,
    topic::Topic,
    webhook::{self, DisableReason, Webhook},
};

use super::{TenantActor, intake::Intake, messages::DisablingDone};
use crate::{
    store::{self, Stream},
    tenants::{
        Error,
        accept::{Failed, Placed, Prepared, Together, decide_all},
        attempt::Made,
    },
};

/// How long to wait before it is tried again; doubles up to the second value.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What attempts showed of a webhook.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    webhook: WebhookId,
    reason: DisableReason,
    seen_version: u64,
}

impl TenantActor {
    /// Notes how an attempt at a webhook ended. If that is to disable it, it is held from now on.
    pub(super) fn judge(&mut self, webhook: WebhookId, made: &Made, ctx: &mut Context<Self>) {
        if made.failure.is_none() {
            self.failing.remove(&webhook);
            return;
        }
        let since = *self.failing.entry(webhook).or_insert(made.started_at);
        let has_failed_for = (made.ended_at - since).to_std().unwrap_or_default();
        let reason = if made.is_gone {
            DisableReason::Gone
        } else if has_failed_for >= self.shared.disable_after {
            DisableReason::Failing
        } else {
            return;
        };
        let known = self.webhooks.get(&webhook);
        let is_active = known.is_some_and(|known| known.webhook().is_active());
        if is_active && self.disabling.insert(webhook) {
            self.configure_lane(webhook, ctx);
            self.disable(
                Verdict {
                    webhook,
                    reason,
                    seen_version: made.webhook_version,
                },
                ctx,
            );
        }
    }

    fn disable(&self, verdict: Verdict, ctx: &mut Context<Self>) {
        let intake = Intake {
            shared: self.shared.clone(),
            filter_turn: self.filter_turn.clone(),
            tenant: self.tenant.clone(),
            addr: ctx.address(),
            origin: Origin::system(self.tenant.clone(), verdict.reason.as_str())
                .because_of(verdict.webhook),
        };
        let work = async move {
            let mut wait = RETRY.0;
            while let Err(error) = disable(&intake, verdict).await {
                if !intake.addr.connected() {
                    return;
                }
                tracing::warn!(%error, webhook = %verdict.webhook, "cannot disable a webhook yet");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
            }
            intake.addr.do_send(DisablingDone(verdict.webhook));
        };
        self.tasks.spawn_on(work, &self.shared.runtime);
    }
}

impl Handler<DisablingDone> for TenantActor {
    type Result = ();

    fn handle(&mut self, DisablingDone(webhook): DisablingDone, ctx: &mut Context<Self>) {
        self.disabling.remove(&webhook);
        self.configure_lane(webhook, ctx);
        self.pump(ctx);
    }
}

/// Disables the webhook, if the verdict still holds by what the ledger says.
async fn disable(intake: &Intake, verdict: Verdict) -> Result<(), Error> {
    if !still_holds(intake, verdict).await? {
        // It may be this that did it, in an earlier try after which the reading failed.
        return intake.reread().await;
    }
    let id = verdict.webhook.to_string();
    let Stream { state, sequence } = intake.shared.ledger.load::<Webhook>(&id).await?;
    let name = state.config().name.clone();
    let command = webhook::Command::Disable {
        reason: verdict.reason,
        seen_version: verdict.seen_version,
    };
    let rules = intake.shared.rules();
    // One that was deleted meanwhile refuses.
    let decided = decide_all(state, command, &rules).await;
    let Some(event) = decided.ok().and_then(|(_, mut events)| events.pop()) else {
        return intake.reread().await;
    };
    let item = Prepared {
        together: Some(Arc::new(Together {
            webhook_id: Some(verdict.webhook),
            events: Placed::after(sequence, &id, vec![event]).collect(),
        })),
        ..notice(intake, verdict, &name)?
    };
    let fanned_out = intake.fan_out(vec![item]).await?;
    let accepted = intake.accept_all(fanned_out).await;
    let result = match accepted.into_iter().next() {
        Some(Err(Failed::Store(store::Error::Stale | store::Error::Conflict))) => {
            Err(Error::Unavailable)
        }
        Some(Err(Failed::Store(error))) => Err(error.into()),
        Some(Err(Failed::Actor(error))) => Err(error),
        Some(Ok(_)) | None => Ok(()),
    };
    // Whether it was this or something else that has changed: what holds now is read.
    intake.reread().await?;
    result
}

/// Somebody else's success since then may be unknown here.
async fn still_holds(intake: &Intake, verdict: Verdict) -> Result<bool, Error> {
    if verdict.reason == DisableReason::Gone {
        return Ok(true);
    }
    let shared = &intake.shared;
    let row = shared
        .views
        .webhook(&intake.tenant, verdict.webhook)
        .await?;
    let since = row.and_then(|row| row.failing_since);
    Ok(since.is_some_and(|since| {
        (shared.clock.now() - since).to_std().unwrap_or_default() >= shared.disable_after
    }))
}

/// The message that tells the tenant's other webhooks.
fn notice(intake: &Intake, verdict: Verdict, name: &str) -> Result<Prepared, Error> {
    let now = intake.shared.clock.now();
    let data = serde_json::json!({
        "webhook_id": verdict.webhook,
        "webhook_name": name,
        "reason": verdict.reason,
        "disabled_at": now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    });
    let data = serde_json::value::to_raw_value(&data).map_err(|_| Error::Internal)?;
    let topic: Topic = Topic::DISABLED.parse().map_err(|_| Error::Internal)?;
    Ok(Prepared::new(topic, now, &data))
}
