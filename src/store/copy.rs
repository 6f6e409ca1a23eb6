//! Brings a ledger from one store into another one, whatever their engines are, and shows that both
//! are the same then.

use std::fmt;

use super::{Error, Store, StoredEvent, engine::Engine};

mod compare;
mod verify;

pub use compare::Difference;
pub use verify::{Verified, verify};

/// The most events that are read, and written in one transaction, at a time.
const BATCH_EVENTS_MAX: u32 = 500;

/// One of the two stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where the ledger is.
    Source,
    /// Where it is brought.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Events are copied; their positions are counted.
    Copy,
    /// Events are compared; their positions are counted.
    CompareEvents,
    /// Rows of views are compared. Messages, deliveries and attempts are counted, and how many they
    /// are together is known roughly.
    CompareViews,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do.
    pub total: u64,
}

/// Hears how far it has come.
pub(super) type Listener<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Why a ledger was not copied, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the stores failed.
    #[error("the {side} failed")]
    Store {
        /// Which one.
        side: Side,
        /// How.
        source: Error,
    },
    /// A node works on one of the databases.
    #[error(
        "a node serves the {side}: stop it first (it listens on {address}; if it crashed, it counts \
         as alive for {lease_ms} ms more)"
    )]
    Served {
        /// Which database.
        side: Side,
        /// Where the node listens.
        address: String,
        /// How long it counts as alive, in milliseconds.
        lease_ms: i64,
    },
    /// What is in the target was not copied from the source.
    #[error(
        "the target holds other events than the source, at the latest at position {position}: take \
         an empty database, or one into which this source's copy was begun"
    )]
    Foreign {
        /// The target's last position.
        position: u64,
    },
    /// Both sides are not the same.
    #[error(transparent)]
    Differs(#[from] Difference),
}

impl CopyError {
    fn at(side: Side) -> impl Fn(Error) -> Self {
        move |source| Self::Store { side, source }
    }
}

/// Copies every event of `source` with its body into `target`, at the same position, and makes the
/// target's views of them. If some are there already, because an earlier copy was cut off, it goes on
/// after them. Gives how many events were copied now.
///
/// Nobody else can append to either store from here on until it is closed.
///
/// # Errors
/// See [`CopyError`]. What was copied before the failure is whole, and a next copy goes on after it.
pub async fn copy(
    source: &Store,
    target: &Store,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<u64, CopyError> {
    hold(source, target).await?;
    let (from, to) = (&*source.engine, &*target.engine);
    let (at_source, at_target) = (CopyError::at(Side::Source), CopyError::at(Side::Target));
    let total = from.chained().last_position().await.map_err(&at_source)?;
    let start = copied_before(from, to).await?;
    let tell = |done| {
        progress(Progress {
            stage: Stage::Copy,
            done,
            total,
        });
    };
    tell(start);
    let read = async |after| from.events_after(after, BATCH_EVENTS_MAX).await;
    let (mut copied, mut batch) = (0, read(start).await.map_err(&at_source)?);
    while let Some(last) = batch.last().map(|event| event.position) {
        copied += batch.len() as u64;
        let (written, next) = tokio::join!(to.import(batch), read(last));
        written.map_err(&at_target)?;
        batch = next.map_err(&at_source)?;
        tell(last);
    }
    copy_seals(from, to).await?;
    to.finish_import().await.map_err(&at_target)?;
    Ok(copied)
}

/// Those that the target does not have yet.
async fn copy_seals(from: &dyn Engine, to: &dyn Engine) -> Result<(), CopyError> {
    let seals = from.chained().seals().await;
    let last = to.chained().last_seal().await;
    let last = last.map_err(CopyError::at(Side::Target))?;
    let last = last.map_or(0, |seal| seal.number);
    for seal in seals.map_err(CopyError::at(Side::Source))? {
        if seal.number > last {
            let written = to.insert_seal(&seal).await;
            written.map_err(CopyError::at(Side::Target))?;
        }
    }
    Ok(())
}

/// Keeps everybody else from appending to either store.
async fn hold(source: &Store, target: &Store) -> Result<(), CopyError> {
    for (side, store) in [(Side::Source, source), (Side::Target, target)] {
        let nodes = match store.cluster() {
            Some(cluster) => cluster.nodes().await.map_err(CopyError::at(side))?,
            None => Vec::new(),
        };
        if let Some(node) = nodes.into_iter().find(|node| node.lease_ms > 0) {
            return Err(CopyError::Served {
                side,
                address: node.address,
                lease_ms: node.lease_ms,
            });
        }
        store.engine.hold().await.map_err(CopyError::at(side))?;
    }
    Ok(())
}

/// The position up to which the target is a copy of the source already. Both have the same event
/// there, if the target has any; that all before it are the same is looked at by [`verify`].
async fn copied_before(from: &dyn Engine, to: &dyn Engine) -> Result<u64, CopyError> {
    let position = to
        .chained()
        .last_position()
        .await
        .map_err(CopyError::at(Side::Target))?;
    let theirs = event_at(to, Side::Target, position).await?;
    let ours = event_at(from, Side::Source, position).await?;
    if ours == theirs {
        Ok(position)
    } else {
        Err(CopyError::Foreign { position })
    }
}

/// The event at a position, without its body: that may be erased on one side.
async fn event_at(
    engine: &dyn Engine,
    side: Side,
    position: u64,
) -> Result<Option<StoredEvent>, CopyError> {
    let Some(before) = position.checked_sub(1) else {
        return Ok(None);
    };
    let found = engine.events_after(before, 1).await;
    let event = found.map_err(CopyError::at(side))?.pop();
    Ok(event
        .filter(|event| event.position == position)
        .map(|event| StoredEvent {
            body: None,
            ..event
        }))
}
