//! Which server a command talks to: the one that is named, the one that listens where this
//! machine's settings say, or one that is started on the local ledger for this one command.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;

use super::{Error, client::Client, flags::Flags, log_quietly};
use crate::{
    server::{self, Role, Server},
    settings::{Database, Loaded, SecretText, keys},
};

#[derive(Debug, Args)]
pub(super) struct Connection {
    /// URL of the server; without it the one at the address of the settings, or else the ledger
    /// in the data directory
    #[arg(long, value_name = "URL", env = "HOOKLEDGER_SERVER")]
    server: Option<String>,
    /// Token to show; without it the platform token of the settings or of the data directory
    #[arg(
        long,
        value_name = "TOKEN",
        env = "HOOKLEDGER_TOKEN",
        hide_env_values = true
    )]
    token: Option<SecretText>,
    /// Print JSON also on a terminal
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    flags: Flags,
}

impl Connection {
    /// Does `work` with a client, in a runtime of its own.
    pub(super) fn with_client<T>(
        &self,
        work: impl AsyncFnOnce(Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let loaded = self.flags.load()?;
        server::block_on(async {
            if let Some(named) = given(self.server.as_deref()) {
                let token = self.token(&loaded, named)?;
                return work(Client::new(named, token)?).await;
            }
            match self.find_running(&loaded).await? {
                Some(client) => work(client).await,
                None => self.with_local_ledger(&loaded, work).await,
            }
        })?
    }

    /// Whether a server is named, or a token for one is.
    pub(super) fn names_server(&self) -> bool {
        let token = self.token.as_ref().map(SecretText::expose);
        given(self.server.as_deref()).is_some() || given(token).is_some()
    }

    /// The settings.
    pub(super) fn load(&self) -> Result<Loaded, Error> {
        Ok(self.flags.load()?)
    }

    /// The server at the address of the settings, if one answers. The token is not shown before
    /// it has, and never to anything that does not answer as Hookledger does.
    pub(super) async fn find_running(&self, loaded: &Loaded) -> Result<Option<Client>, Error> {
        let Some(address) = local_url(loaded.settings.listen) else {
            return Ok(None);
        };
        let probe = Client::new(&address, SecretText::from(""))?;
        if !probe.is_answered().await {
            return Ok(None);
        }
        let token = self.token(loaded, &address)?;
        Ok(Some(Client::new(&address, token)?))
    }

    async fn with_local_ledger<T>(
        &self,
        loaded: &Loaded,
        work: impl AsyncFnOnce(Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        log_quietly(loaded)?;
        let mut settings = loaded.settings.clone();
        let data_dir = settings.data_dir.display().to_string();
        let address = settings.listen.to_string();
        match settings.database {
            Database::Sqlite(_) => {
                eprintln!("hookledger: no server at {address}, using the ledger in {data_dir}");
            }
            Database::Postgres(_) => {
                eprintln!("hookledger: no server at {address}, using the database itself");
            }
        }
        settings.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(settings, Role::Guest)
            .await
            .map_err(|source| Error::LocalLedger {
                address,
                data_dir,
                source: Box::new(source),
            })?;
        let token = match &self.token {
            Some(token) => token.clone(),
            None => SecretText::from(server.platform_token()),
        };
        let result = match Client::new(&format!("http://{}", server.address()), token) {
            Ok(client) => work(client).await,
            Err(error) => Err(error.into()),
        };
        server.stop().await;
        result
    }

    fn token(&self, loaded: &Loaded, address: &str) -> Result<SecretText, Error> {
        let token = match &self.token {
            Some(token) if !token.expose().is_empty() => Some(token.clone()),
            _ => keys::existing_platform_token(&loaded.settings)?,
        };
        token.ok_or_else(|| Error::NoToken {
            address: address.to_owned(),
        })
    }
}

/// An empty variable counts as unset, as for settings.
fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// The URL under which this machine reaches a server that listens there; none for port 0, which
/// can be any.
pub(super) fn local_url(listen: SocketAddr) -> Option<String> {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    let address = SocketAddr::new(ip, listen.port());
    (listen.port() != 0).then(|| format!("http://{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_reached_on_loopback() {
        for (listen, url) in [
            ("127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("10.1.2.3:80", Some("http://10.1.2.3:80")),
            ("0.0.0.0:8080", Some("http://127.0.0.1:8080")),
            ("[::]:8080", Some("http://[::1]:8080")),
            ("127.0.0.1:0", None),
        ] {
            assert_eq!(
                local_url(listen.parse().unwrap()).as_deref(),
                url,
                "{listen}"
            );
        }
    }
}
