//! The JWTs of the platform's own identity provider.
//!
//! Each key knows which algorithms it may check, from its own kind and never from the token: a
//! public key is not taken for an HMAC secret, and `none` is no algorithm at all.

use std::{fs, io, path::PathBuf, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hookledger_domain::{
    actor::{Actor, ActorKind},
    permission::Role,
    tenant::TenantId,
};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, Jwk, JwkSet, KeyOperations, PublicKeyUse},
};
use serde_json::{Map, Value};

use super::Member;
use crate::http::problem::Problem;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const EC: &[Algorithm] = &[Algorithm::ES256, Algorithm::ES384];
const ED: &[Algorithm] = &[Algorithm::EdDSA];
const HS: &[Algorithm] = &[Algorithm::HS256];
/// By how much the provider's clock may differ from ours, in seconds.
const LEEWAY_SECONDS: u64 = 5;
/// The most keys of a set: each may be tried on a token that names none.
const KEYS_MAX: usize = 32;
/// How much of a subject or name is kept, in characters.
const NAME_CHARACTERS_MAX: usize = 200;

/// How JWTs are checked.
pub struct JwtOptions {
    /// What checks their signatures.
    pub key: JwtKey,
    /// The `iss` that they must have; any if `None`.
    pub issuer: Option<String>,
    /// The `aud` that they must have; any if `None`.
    pub audience: Option<String>,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The claim that names the role: a text, or a list of which the mightiest role counts.
    pub role_claim: String,
}

/// What checks the signatures of JWTs.
pub enum JwtKey {
    /// A PEM file with one public key: RSA, P-256, P-384 or Ed25519.
    PublicKeyFile(PathBuf),
    /// A JSON Web Key Set.
    JwksFile(PathBuf),
    /// A shared secret, for HS256 only.
    Hs256Secret(String),
}

/// Why JWTs cannot be checked as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("the JWT key file {} cannot be read: {source}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no public key.
    #[error("{} holds no RSA, EC (P-256, P-384) or Ed25519 public key in PEM", .path.display())]
    NoPublicKey {
        /// Which file.
        path: PathBuf,
    },
    /// The file holds no key set.
    #[error("{} is no JSON Web Key Set: {source}", .path.display())]
    NoKeySet {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The key set has no key that signatures can be checked with, or too many.
    #[error("{} has {usable} usable public signing keys; 1 to {KEYS_MAX} are accepted", .path.display())]
    KeyCount {
        /// Which file.
        path: PathBuf,
        /// How many there are.
        usable: usize,
    },
}

/// Checks JWTs.
pub(in crate::http) struct Verifier {
    keys: Vec<Key>,
    tenant_claim: String,
    role_claim: String,
}

struct Key {
    id: Option<String>,
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    /// Reads the keys.
    pub(in crate::http) fn load(options: JwtOptions) -> Result<Self, Error> {
        let keys = match &options.key {
            JwtKey::Hs256Secret(secret) => {
                vec![(
                    None,
                    DecodingKey::from_secret(secret.as_bytes()),
                    HS.to_vec(),
                )]
            }
            JwtKey::PublicKeyFile(path) => {
                let pem = read(path)?;
                let (key, algorithms) = public_key(pem.as_bytes())
                    .ok_or_else(|| Error::NoPublicKey { path: path.clone() })?;
                vec![(None, key, algorithms.to_vec())]
            }
            JwtKey::JwksFile(path) => key_set(path, &read(path)?)?,
        };
        let key = |(id, key, algorithms)| Key {
            id,
            key,
            validation: validation(&options, algorithms),
        };
        Ok(Self {
            keys: keys.into_iter().map(key).collect(),
            tenant_claim: options.tenant_claim,
            role_claim: options.role_claim,
        })
    }

    /// Says whom a token names. Whether there is such a tenant is for the caller to ask.
    pub(super) fn verify(&self, token: &str) -> Result<Member, Problem> {
        let claims = self.claims(token).ok_or_else(Problem::unauthorized)?;
        let tenant: TenantId = claims
            .get(&self.tenant_claim)
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok())
            .ok_or_else(unknown_tenant)?;
        let role = claims.get(&self.role_claim).and_then(role).ok_or_else(|| {
            Problem::forbidden(
                "unknown_role",
                "the token names no role: admin, operator, viewer or publisher",
            )
        })?;
        Ok(Member {
            tenant,
            role,
            actor: actor(&claims),
        })
    }

    fn claims(&self, token: &str) -> Option<Map<String, Value>> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        // RFC 7515, section 4.1.11: who does not understand an extension must refuse.
        if has_critical_extensions(token) {
            return None;
        }
        self.keys
            .iter()
            .filter(|key| match (&header.kid, &key.id) {
                (Some(wanted), Some(id)) => wanted == id,
                _ => true,
            })
            .filter(|key| key.validation.algorithms.contains(&header.alg))
            .find_map(|key| {
                jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &key.validation).ok()
            })
            .map(|data| data.claims)
    }
}

/// A JWT may be good and yet name a tenant that the platform has not registered.
pub(super) fn unknown_tenant() -> Problem {
    Problem::forbidden(
        "unknown_tenant",
        "the token names no tenant that is registered here",
    )
}

fn validation(options: &JwtOptions, algorithms: Vec<Algorithm>) -> Validation {
    let mut validation = Validation::default();
    validation.algorithms = algorithms;
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    let mut required = vec!["exp"];
    if let Some(issuer) = &options.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    match &options.audience {
        Some(audience) => {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        None => validation.validate_aud = false,
    }
    validation.set_required_spec_claims(&required);
    validation
}

type LoadedKey = (Option<String>, DecodingKey, Vec<Algorithm>);

fn key_set(path: &std::path::Path, text: &str) -> Result<Vec<LoadedKey>, Error> {
    // Keys of kinds that we do not know stand beside the others in many sets: each alone.
    #[derive(serde::Deserialize)]
    struct Loose {
        keys: Vec<Value>,
    }
    let loose: Loose = serde_json::from_str(text).map_err(|source| Error::NoKeySet {
        path: path.to_owned(),
        source,
    })?;
    let set = JwkSet {
        keys: loose
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(key).ok())
            .collect(),
    };
    let keys: Vec<LoadedKey> = set.keys.iter().filter_map(signing_key).collect();
    if !(1..=KEYS_MAX).contains(&keys.len()) {
        return Err(Error::KeyCount {
            path: path.to_owned(),
            usable: keys.len(),
        });
    }
    Ok(keys)
}

fn signing_key(jwk: &Jwk) -> Option<LoadedKey> {
    let family = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => RSA,
        AlgorithmParameters::EllipticCurve(_) => EC,
        AlgorithmParameters::OctetKeyPair(_) => ED,
        // A shared secret has no place in a set of public keys.
        AlgorithmParameters::OctetKey(_) => return None,
    };
    let is_for_signatures = jwk
        .common
        .public_key_use
        .as_ref()
        .is_none_or(|u| *u == PublicKeyUse::Signature)
        && jwk
            .common
            .key_operations
            .as_ref()
            .is_none_or(|all| all.contains(&KeyOperations::Verify));
    if !is_for_signatures {
        return None;
    }
    let algorithms = match jwk.common.key_algorithm {
        None => family.to_vec(),
        Some(named) => family
            .iter()
            .copied()
            .filter(|a| format!("{a:?}") == named.to_string())
            .collect(),
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    (!algorithms.is_empty()).then(|| (jwk.common.key_id.clone(), key, algorithms))
}

fn public_key(pem: &[u8]) -> Option<(DecodingKey, &'static [Algorithm])> {
    DecodingKey::from_rsa_pem(pem)
        .map(|key| (key, RSA))
        .or_else(|_| DecodingKey::from_ec_pem(pem).map(|key| (key, EC)))
        .or_else(|_| DecodingKey::from_ed_pem(pem).map(|key| (key, ED)))
        .ok()
}

fn has_critical_extensions(token: &str) -> bool {
    let header = token
        .split('.')
        .next()
        .and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    header
        .and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok())
        .is_none_or(|header| header.contains_key("crit"))
}

fn role(claim: &Value) -> Option<Role> {
    let named = |role: &Role| match claim {
        Value::String(text) => text == role.as_str(),
        Value::Array(texts) => texts.iter().any(|text| text == role.as_str()),
        _ => false,
    };
    Role::ALL.into_iter().find(named)
}

fn actor(claims: &Map<String, Value>) -> Actor {
    let text = |claim: &str| -> Option<Arc<str>> {
        let text: String = claims
            .get(claim)?
            .as_str()?
            .chars()
            .take(NAME_CHARACTERS_MAX)
            .collect();
        (!text.is_empty()).then(|| Arc::from(text))
    };
    let id = text("sub").unwrap_or_else(|| Arc::from("unknown"));
    Actor {
        kind: ActorKind::User,
        name: text("name").unwrap_or_else(|| id.clone()),
        id,
    }
}

fn read(path: &PathBuf) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.clone(),
        source,
    })
}

#[cfg(test)]
mod tests;
