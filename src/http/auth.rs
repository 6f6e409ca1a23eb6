//! Who asks: the platform token, API tokens and the JWTs of the platform's identity provider.

use std::{sync::Arc, time::Duration};

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use chrono::{DateTime, Utc};
use hookledger_domain::{
    actor::{Actor, ActorKind},
    clock::Clock,
    ids::TokenId,
    permission::{Permission, Role},
    tenant::TenantId,
};
use hookledger_projections::rows::TokenRow;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::problem::Problem;
use crate::store::{self, Hash, Views};

pub(super) mod jwt;

/// How long what the store said about a token is believed. Revocation takes effect within this
/// time; a busy token costs one question in it.
const TOKEN_LIFE: Duration = Duration::from_millis(500);
/// How many tokens and how many tenants are remembered.
const CACHED_MAX: usize = 10_000;
/// The header by which the platform says for which tenant it acts.
const TENANT_HEADER: &str = "x-tenant-id";
/// What every API token begins with.
const API_TOKEN_PREFIX: &str = "hlk_";

/// Who asks, and what they may do.
#[derive(Debug, Clone)]
pub(super) enum Identity {
    /// The platform: may do everything, for any tenant.
    Platform,
    /// Somebody of one tenant.
    Member(Arc<Member>),
}

/// Somebody of one tenant.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) tenant: TenantId,
    pub(super) role: Role,
    pub(super) actor: Actor,
}

impl Identity {
    /// As whom they stand in the ledger.
    pub(super) fn actor(&self) -> Actor {
        match self {
            Self::Platform => Actor::platform(),
            Self::Member(member) => member.actor.clone(),
        }
    }

    /// Refuses who is not the platform.
    pub(super) fn require_platform(&self) -> Result<(), Problem> {
        match self {
            Self::Platform => Ok(()),
            Self::Member(_) => Err(Problem::forbidden(
                "platform_only",
                "the platform token is needed",
            )),
        }
    }

    /// Refuses who has not the permission.
    pub(super) fn require(&self, permission: Permission) -> Result<(), Problem> {
        match self {
            Self::Member(member) if !member.role.permits(permission) => {
                Err(Problem::missing_permission(permission))
            }
            _ => Ok(()),
        }
    }
}

/// What authentication asks the store.
pub(super) trait Directory {
    /// A live token.
    async fn token(&self, id: TokenId) -> Result<Option<TokenRow>, store::Error>;
    /// Whether there is such a tenant.
    async fn has_tenant(&self, id: &TenantId) -> Result<bool, store::Error>;
}

impl Directory for Views {
    async fn token(&self, id: TokenId) -> Result<Option<TokenRow>, store::Error> {
        Ok(Views::token(self, id).await?.map(|(token, _)| token))
    }

    async fn has_tenant(&self, id: &TenantId) -> Result<bool, store::Error> {
        Ok(self.tenant(id).await?.is_some())
    }
}

/// Says who asks.
pub(super) struct Authenticator<D> {
    directory: D,
    clock: Arc<dyn Clock>,
    platform_sha256: [u8; 32],
    jwt: Option<jwt::Verifier>,
    tokens: Cache<TokenId, Known>,
    /// Tenants are never deleted, so one that was found stays.
    tenants: Cache<TenantId, ()>,
}

/// What the store said about a token, and when it was asked.
#[derive(Clone)]
struct Known {
    asked_at: Instant,
    token: Option<Arc<LiveToken>>,
}

struct LiveToken {
    sha256: [u8; 32],
    expires_at: Option<DateTime<Utc>>,
    member: Arc<Member>,
}

impl<D: Directory> Authenticator<D> {
    pub(super) fn new(
        directory: D,
        clock: Arc<dyn Clock>,
        platform_token: &str,
        jwt: Option<jwt::Verifier>,
    ) -> Self {
        Self {
            directory,
            clock,
            platform_sha256: Sha256::digest(platform_token).into(),
            jwt,
            tokens: Cache::new(CACHED_MAX),
            tenants: Cache::new(CACHED_MAX),
        }
    }

    /// Says who asks.
    ///
    /// Fails with 401 unless there is exactly one valid token, with 403 for a JWT that names no
    /// tenant or role of ours, and with 503 when the store cannot be asked.
    pub(super) async fn identify(&self, headers: &HeaderMap) -> Result<Identity, Problem> {
        let token = bearer(headers).ok_or_else(Problem::unauthorized)?;
        let sha256: [u8; 32] = Sha256::digest(token).into();
        if is_equal(&sha256, &self.platform_sha256) {
            return Ok(Identity::Platform);
        }
        if let Some(id) = api_token_id(token) {
            return self.api_token(id, &sha256).await;
        }
        let verifier = self.jwt.as_ref().ok_or_else(Problem::unauthorized)?;
        let member = verifier.verify(token)?;
        if !self.has_tenant(&member.tenant).await? {
            return Err(jwt::unknown_tenant());
        }
        Ok(Identity::Member(Arc::new(member)))
    }

    /// The tenant for which they act.
    pub(super) async fn tenant(
        &self,
        identity: &Identity,
        headers: &HeaderMap,
    ) -> Result<TenantId, Problem> {
        let mut given = headers.get_all(TENANT_HEADER);
        let (first, second) = (given.next(), given.next());
        if second.is_some() {
            return Err(Problem::parameter("X-Tenant-Id", "may be given once"));
        }
        let text = first.map(|value| value.to_str().unwrap_or_default());
        match (identity, text) {
            (Identity::Member(member), None) => Ok(member.tenant.clone()),
            (Identity::Member(member), Some(text)) if text == member.tenant.as_str() => {
                Ok(member.tenant.clone())
            }
            (Identity::Member(_), Some(_)) => Err(Problem::forbidden(
                "wrong_tenant",
                "X-Tenant-Id names another tenant than the token's",
            )),
            (Identity::Platform, None) => Err(Problem::new(
                actix_web::http::StatusCode::BAD_REQUEST,
                "missing_tenant",
                "with the platform token the header X-Tenant-Id must name the tenant",
            )),
            (Identity::Platform, Some(text)) => self.known_tenant(text).await,
        }
    }

    /// The tenant of this id.
    pub(super) async fn known_tenant(&self, text: &str) -> Result<TenantId, Problem> {
        let id: TenantId = text.parse().map_err(|_| Problem::not_found("tenant"))?;
        if self.has_tenant(&id).await? {
            Ok(id)
        } else {
            Err(Problem::not_found("tenant"))
        }
    }

    async fn has_tenant(&self, id: &TenantId) -> Result<bool, Problem> {
        if self.tenants.get(id).is_some() {
            return Ok(true);
        }
        let exists = self.directory.has_tenant(id).await?;
        if exists {
            self.tenants.insert(id.clone(), ());
        }
        Ok(exists)
    }

    async fn api_token(&self, id: TokenId, sha256: &[u8; 32]) -> Result<Identity, Problem> {
        let token = self
            .live_token(id)
            .await?
            .ok_or_else(Problem::unauthorized)?;
        let is_expired = token.expires_at.is_some_and(|end| end <= self.clock.now());
        if !is_equal(sha256, &token.sha256) || is_expired {
            return Err(Problem::unauthorized());
        }
        Ok(Identity::Member(token.member.clone()))
    }

    async fn live_token(&self, id: TokenId) -> Result<Option<Arc<LiveToken>>, Problem> {
        // Taken before the question: what is revoked while it runs must not live longer.
        let asked_at = Instant::now();
        if let Some(known) = self.tokens.get(&id)
            && asked_at.duration_since(known.asked_at) < TOKEN_LIFE
        {
            return Ok(known.token);
        }
        let token = self
            .directory
            .token(id)
            .await?
            .and_then(LiveToken::new)
            .map(Arc::new);
        self.tokens.insert(
            id,
            Known {
                asked_at,
                token: token.clone(),
            },
        );
        Ok(token)
    }
}

impl LiveToken {
    /// `None` if the row's hash is none, which nothing writes; such a token fits nobody.
    fn new(row: TokenRow) -> Option<Self> {
        Some(Self {
            sha256: decode_sha256(&row.token_sha256)?,
            expires_at: row.expires_at,
            member: Arc::new(Member {
                tenant: row.tenant_id,
                role: row.role,
                actor: Actor {
                    kind: ActorKind::Token,
                    id: Arc::from(row.id.to_string()),
                    name: Arc::from(row.name),
                },
            }),
        })
    }
}

/// The token of the one `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION);
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The id in `hlk_<32 hexadecimal digits>_<secret>`.
fn api_token_id(token: &str) -> Option<TokenId> {
    let (digits, _secret) = token.strip_prefix(API_TOKEN_PREFIX)?.split_once('_')?;
    format!("{}_{digits}", TokenId::PREFIX).parse().ok()
}

/// Compares in a time that says nothing about where the two differ.
fn is_equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(difference) == 0
}

fn decode_sha256(hex: &str) -> Option<[u8; 32]> {
    Hash::from_hex(hex).map(|hash| *hash.as_bytes())
}

#[cfg(test)]
mod tests;
