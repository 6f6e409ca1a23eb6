//! Which of the API's routes answer: the platform's, or those of the token's own tenant.

use crate::cli::{
    Error,
    client::{self, Client},
};

const PLATFORM: [&str; 3] = ["api", "platform", "audit"];
const TENANT: [&str; 3] = ["api", "admin", "audit"];

/// Where to ask, and for whom.
pub(super) struct Route {
    pub(super) client: Client,
    base: [&'static str; 3],
    tenant: Option<String>,
}

impl Route {
    /// Finds out what the token is for, without saying anything of the tenant that is meant.
    pub(super) async fn find(client: Client, tenant: Option<&str>) -> Result<Self, Error> {
        let tenant = tenant.map(str::to_owned);
        match client.get(&PLATFORM, &[("limit", "1")]).await {
            Ok(_) => Ok(Self {
                client,
                base: PLATFORM,
                tenant,
            }),
            Err(client::Error::Problem(problem)) if problem.is("platform_only") => Ok(Self {
                // A token of another tenant is refused.
                client: match tenant {
                    Some(tenant) => client.for_tenant(tenant),
                    None => client,
                },
                base: TENANT,
                tenant: None,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// The path of a resource of the audit; empty for the list itself.
    pub(super) fn path<'a>(&self, resource: &'a [&'a str]) -> Vec<&'a str> {
        self.base.iter().chain(resource).copied().collect()
    }

    /// The parameters, and that which says whose events are meant.
    pub(super) fn query<'a>(&'a self, query: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let tenant = self.tenant.as_deref().map(|tenant| ("tenant", tenant));
        query.iter().copied().chain(tenant).collect()
    }
}
