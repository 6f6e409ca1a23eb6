//! Hears what other nodes say, and passes it on.

use std::{sync::Arc, time::Duration};

use super::{Phase, Shared};
use crate::store::{Cluster, Error, Notice, Notices};

/// How long to wait before listening is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// So many notices are passed on together at most.
const NOTICES_MAX: usize = 256;

/// Listens until this node leaves.
pub(super) async fn run(shared: Arc<Shared>, cluster: Cluster, mut notices: Notices) {
    let mut phase = shared.phase.subscribe();
    loop {
        let heard = tokio::select! {
            heard = notices.next() => heard,
            _ = phase.wait_for(|phase| *phase == Phase::Gone) => break,
        };
        if let Ok(first) = heard {
            pass_on(&shared, first, &mut notices).await;
            continue;
        }
        tracing::warn!("the connection on which other nodes are heard is lost");
        notices = tokio::select! {
            notices = connect(&cluster) => notices,
            _ = phase.wait_for(|phase| *phase == Phase::Gone) => return,
        };
        // Whatever was said meanwhile was missed.
        shared.round.notify_one();
        tokio::select! {
            () = shared.options.dispatch.look_again() => {}
            _ = phase.wait_for(|phase| *phase == Phase::Gone) => break,
        }
    }
    notices.close().await;
}

async fn connect(cluster: &Cluster) -> Notices {
    loop {
        match cluster.listen().await {
            Ok(notices) => return notices,
            Err(Error::Unavailable(_)) => tokio::time::sleep(RETRY).await,
            Err(error) => {
                tracing::error!(%error, "cannot listen to other nodes");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Passes a notice on, together with those that have come since.
async fn pass_on(shared: &Shared, first: Notice, notices: &mut Notices) {
    let (mut heard, mut next) = (Vec::new(), Some(first));
    while let Some(notice) = next {
        match notice {
            Notice::Nodes => shared.round.notify_one(),
            other => heard.push(other),
        }
        next = (heard.len() < NOTICES_MAX)
            .then(|| notices.next_arrived())
            .flatten();
    }
    if !heard.is_empty() {
        shared.options.dispatch.hear(heard).await;
    }
}
