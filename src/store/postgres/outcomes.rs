//! For how long webhooks have been failing: the outcomes of a batch, folded in their order.

use chrono::{DateTime, Utc};
use uuid::Uuid;

columns! {
    /// How the attempts at each webhook ended: whether one succeeded, and when the first failed since.
    Outcomes {
        tenant_id: &'a str, id: Uuid, is_reset: bool, failing_since: Option<DateTime<Utc>>,
    }
}

impl<'a> Outcomes<'a> {
    /// Notes an outcome after those before it. A batch has few webhooks, and mostly the same in turn.
    pub(super) fn note(
        &mut self,
        tenant: &'a str,
        webhook: Uuid,
        failed_at: Option<DateTime<Utc>>,
    ) {
        let place = match self.id.iter().rposition(|id| *id == webhook) {
            Some(place) => place,
            None => {
                self.tenant_id.push(tenant);
                self.id.push(webhook);
                self.is_reset.push(false);
                self.failing_since.push(None);
                self.id.len() - 1
            }
        };
        match failed_at {
            None => {
                self.is_reset[place] = true;
                self.failing_since[place] = None;
            }
            Some(_) => self.failing_since[place] = self.failing_since[place].or(failed_at),
        }
    }
}
