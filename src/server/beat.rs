//! Whether the server can do its work.

use async_trait::async_trait;

use crate::{
    http::{Health, NotReady},
    store::Views,
    tenants::Tenants,
};

/// What `/readyz` asks.
pub(super) struct Beat {
    views: Views,
    tenants: Tenants,
}

impl Beat {
    pub(super) fn new(views: Views, tenants: Tenants) -> Self {
        Self { views, tenants }
    }
}

#[async_trait]
impl Health for Beat {
    async fn check(&self) -> Result<(), NotReady> {
        if self.tenants.is_stopping() {
            return Err(NotReady {
                code: "shutting_down",
                detail: "the server is stopping".to_owned(),
            });
        }
        self.views
            .check_writable()
            .await
            .map_err(|error| NotReady {
                code: "store_unavailable",
                detail: error.to_string(),
            })?;
        if self.tenants.is_beating().await {
            Ok(())
        } else {
            Err(NotReady {
                code: "dispatcher_stalled",
                detail: "the threads of the tenants' actors do not answer".to_owned(),
            })
        }
    }
}
