//! Looks whether two stores hold the same: every event with its body, and every row of the views, a
//! page of each at a time.

use std::{collections::VecDeque, fmt::Display};

use cqrs_es::Aggregate;
use hookledger_domain::{delivery::Delivery, message, tenant::TenantId, webhook::Webhook};
use hookledger_projections::{
    query::{AttemptFilter, DeliveryFilter, LIMIT_MAX, Page, Rows},
    rows::{DeliveryRow, TenantRow, TokenRow},
};

use super::{BATCH_EVENTS_MAX, CopyError, Listener, Progress, Side, Stage, compare, hold};
use crate::store::{Error, LoggedAttempt, Message, Store, StoredEvent, Views, engine::Engine};

/// What was found to be the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Events.
    pub events: u64,
    /// Bodies beside them.
    pub bodies: u64,
    /// Messages, deliveries and attempts in the views.
    pub rows: u64,
}

/// Compares both ledgers, and then their views: every row that can be asked for, tenant by tenant.
///
/// Nobody else can append to either store from here on until it is closed.
///
/// # Errors
/// The first difference, named; or see [`CopyError`].
pub async fn verify(
    source: &Store,
    target: &Store,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Verified, CopyError> {
    hold(source, target).await?;
    let mut comparison = Comparison {
        source: source.views(),
        target: target.views(),
        progress,
        found: Verified::default(),
        rows_expected: 0,
    };
    comparison.ledgers(&*source.engine, &*target.engine).await?;
    let (here, there) = (source.engine.chained(), target.engine.chained());
    let heads = tokio::join!(here.heads(), there.heads());
    let (ours, theirs) = both(heads.0, heads.1)?;
    compare::heads(&ours, &theirs)?;
    let seals = tokio::join!(here.seals(), there.seals());
    let (ours, theirs) = both(seals.0, seals.1)?;
    compare::seals(&ours, &theirs)?;
    comparison.views().await?;
    Ok(comparison.found)
}

struct Comparison<'a> {
    source: Views,
    target: Views,
    progress: Listener<'a>,
    found: Verified,
    rows_expected: u64,
}

/// The events of one side, one after the other.
struct Reader<'a> {
    engine: &'a dyn Engine,
    side: Side,
    /// Of the last event of the page.
    position: u64,
    page: VecDeque<StoredEvent>,
}

impl<'a> Reader<'a> {
    fn new(engine: &'a dyn Engine, side: Side) -> Self {
        Self {
            engine,
            side,
            position: 0,
            page: VecDeque::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<StoredEvent>, CopyError> {
        if self.page.is_empty() {
            let page = self.engine.events_after(self.position, BATCH_EVENTS_MAX);
            self.page = page.await.map_err(CopyError::at(self.side))?.into();
            if let Some(last) = self.page.back() {
                self.position = last.position;
            }
        }
        Ok(self.page.pop_front())
    }
}

/// What both sides answer, unless one cannot.
fn both<T>(source: Result<T, Error>, target: Result<T, Error>) -> Result<(T, T), CopyError> {
    Ok((
        source.map_err(CopyError::at(Side::Source))?,
        target.map_err(CopyError::at(Side::Target))?,
    ))
}

impl Comparison<'_> {
    fn tell(&self, stage: Stage, done: u64, total: u64) {
        (self.progress)(Progress { stage, done, total });
    }

    async fn ledgers(&mut self, source: &dyn Engine, target: &dyn Engine) -> Result<(), CopyError> {
        let total = source.chained().last_position().await;
        let total = total.map_err(CopyError::at(Side::Source))?;
        let mut source = Reader::new(source, Side::Source);
        let mut target = Reader::new(target, Side::Target);
        loop {
            let (ours, theirs) = tokio::join!(source.next(), target.next());
            let Some(event) = compare::events(ours?, theirs?)? else {
                return Ok(());
            };
            self.count(&event).await?;
            if self.found.events % u64::from(BATCH_EVENTS_MAX) == 1 || event.position == total {
                self.tell(Stage::CompareEvents, event.position, total);
            }
        }
    }

    async fn count(&mut self, event: &StoredEvent) -> Result<(), CopyError> {
        self.found.events += 1;
        self.found.bodies += u64::from(event.body.is_some());
        if [message::Message::TYPE, Delivery::TYPE].contains(&event.aggregate_type.as_str()) {
            self.rows_expected += 1;
        }
        // No list shows the webhooks that are deleted.
        match &event.tenant_id {
            Some(tenant) if event.aggregate_type == Webhook::TYPE && event.sequence == 1 => {
                self.webhook(tenant, &event.aggregate_id).await
            }
            _ => Ok(()),
        }
    }

    async fn webhook(&self, tenant: &TenantId, id: &str) -> Result<(), CopyError> {
        let Ok(id) = id.parse() else { return Ok(()) };
        let (ours, theirs) = tokio::join!(
            self.source.webhook(tenant, id),
            self.target.webhook(tenant, id)
        );
        let (ours, theirs) = both(ours, theirs)?;
        let kind = format!("tenant {tenant}: webhook");
        let rows = (ours.as_slice(), theirs.as_slice());
        Ok(compare::rows(&kind, |row| row.id, rows.0, rows.1)?)
    }

    async fn views(&mut self) -> Result<(), CopyError> {
        let (ours, theirs) = tokio::join!(self.source.topics(), self.target.topics());
        let (mut ours, mut theirs) = both(ours, theirs)?;
        // This list rises.
        ours.reverse();
        theirs.reverse();
        compare::rows("topic", |row| row.name.to_string(), &ours, &theirs)?;
        let mut after = None;
        loop {
            let page = Page {
                limit: LIMIT_MAX,
                after,
            };
            let tenants = self.page(
                "tenant",
                page,
                |row: &TenantRow| row.id.clone(),
                |_, _| {},
                Views::tenants,
            );
            let tenants = tenants.await?;
            for tenant in &tenants.rows {
                self.views_of(&tenant.id).await?;
            }
            after = tenants.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn views_of(&mut self, tenant: &TenantId) -> Result<(), CopyError> {
        let (ours, theirs) =
            tokio::join!(self.source.webhooks(tenant), self.target.webhooks(tenant));
        let (ours, theirs) = both(ours, theirs)?;
        let kind = |kind: &str| format!("tenant {tenant}: {kind}");
        compare::rows(&kind("webhook"), |row| row.id, &ours, &theirs)?;
        self.list(
            &kind("token"),
            false,
            |row: &TokenRow| row.id,
            |_, _| {},
            async |views, page| views.tokens(tenant, page).await,
        )
        .await?;
        self.list(
            &kind("message"),
            true,
            |message: &Message| message.row.id,
            |ours, theirs| compare::forget_erased(&ours.body, &mut theirs.body),
            async |views, page| views.messages(tenant, page).await,
        )
        .await?;
        let all = DeliveryFilter::default();
        self.list(
            &kind("delivery"),
            true,
            |row: &DeliveryRow| row.id,
            |_, _| {},
            async |views, page| views.deliveries(tenant, &all, page).await,
        )
        .await?;
        let all = AttemptFilter::default();
        self.list(
            &kind("attempt"),
            true,
            |attempt: &LoggedAttempt| attempt.row.id,
            |ours, theirs| compare::forget_erased(&ours.response_body, &mut theirs.response_body),
            async |views, page| views.attempts(tenant, &all, page).await,
        )
        .await
    }

    /// Compares a whole list, page by page.
    async fn list<Row: PartialEq, Id: Ord + Display + Clone>(
        &mut self,
        kind: &str,
        is_counted: bool,
        id: impl Fn(&Row) -> Id,
        forget: impl Fn(&Row, &mut Row),
        ask: impl AsyncFn(&Views, Page<Id>) -> Result<Rows<Row, Id>, Error>,
    ) -> Result<(), CopyError> {
        let mut after = None;
        loop {
            let page = Page {
                limit: LIMIT_MAX,
                after,
            };
            let rows = self.page(kind, page, &id, &forget, &ask).await?;
            if is_counted {
                self.found.rows += rows.rows.len() as u64;
                let total = self.rows_expected.max(self.found.rows);
                self.tell(Stage::CompareViews, self.found.rows, total);
            }
            after = rows.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Compares a page, and gives it; it goes on as long as one side does. What need not be the same
    /// is forgotten before, row by row.
    async fn page<Row: PartialEq, Id: Ord + Display + Clone>(
        &self,
        kind: &str,
        page: Page<Id>,
        id: impl Fn(&Row) -> Id,
        forget: impl Fn(&Row, &mut Row),
        ask: impl AsyncFn(&Views, Page<Id>) -> Result<Rows<Row, Id>, Error>,
    ) -> Result<Rows<Row, Id>, CopyError> {
        let (ours, theirs) = tokio::join!(ask(&self.source, page.clone()), ask(&self.target, page));
        let (ours, mut theirs) = both(ours, theirs)?;
        for (ours, theirs) in ours.rows.iter().zip(&mut theirs.rows) {
            forget(ours, theirs);
        }
        compare::rows(kind, id, &ours.rows, &theirs.rows)?;
        Ok(Rows {
            next: ours.next.or(theirs.next),
            rows: ours.rows,
        })
    }
}
