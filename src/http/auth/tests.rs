use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::http::header::{HeaderName, HeaderValue};
use hookledger_domain::clock::SystemClock;

use super::*;

const PLATFORM: &str = "platform-token-of-at-least-32-characters";
const ID: &str = "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b";

/// A store in memory that counts its questions.
#[derive(Default)]
struct Memory {
    tokens: Mutex<HashMap<TokenId, TokenRow>>,
    is_down: Mutex<bool>,
    questions: AtomicUsize,
}

impl Memory {
    fn ask(&self) -> Result<(), store::Error> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        if *self.is_down.lock().unwrap() {
            return Err(store::Error::Unavailable("down".into()));
        }
        Ok(())
    }
}

impl Directory for Arc<Memory> {
    async fn token(&self, id: TokenId) -> Result<Option<TokenRow>, store::Error> {
        self.ask()?;
        Ok(self.tokens.lock().unwrap().get(&id).cloned())
    }

    async fn has_tenant(&self, id: &TenantId) -> Result<bool, store::Error> {
        self.ask()?;
        Ok(id.as_str() == "acme")
    }
}

fn token(id: &str) -> String {
    format!("hlk_{id}_a-secret_with_underscores")
}

fn row(token: &str, role: Role, expires_at: Option<DateTime<Utc>>) -> TokenRow {
    TokenRow {
        id: api_token_id(token).unwrap(),
        tenant_id: "acme".parse().unwrap(),
        name: "ci".to_owned(),
        role,
        token_sha256: Sha256::digest(token)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        expires_at,
    }
}

fn setup(rows: &[TokenRow]) -> (Arc<Memory>, Authenticator<Arc<Memory>>) {
    let memory = Arc::new(Memory::default());
    memory
        .tokens
        .lock()
        .unwrap()
        .extend(rows.iter().map(|row| (row.id, row.clone())));
    let jwt = jwt::Verifier::load(jwt::JwtOptions {
        key: jwt::JwtKey::Hs256Secret("x".repeat(32)),
        issuer: None,
        audience: None,
        tenant_claim: "tenant_id".to_owned(),
        role_claim: "role".to_owned(),
    });
    let auth = Authenticator::new(memory.clone(), Arc::new(SystemClock), PLATFORM, jwt.ok());
    (memory, auth)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

fn bearing(token: &str) -> HeaderMap {
    headers(&[("authorization", &format!("Bearer {token}"))])
}

async fn status(auth: &Authenticator<Arc<Memory>>, headers: &HeaderMap) -> u16 {
    auth.identify(headers)
        .await
        .map_or_else(|problem| problem.status.as_u16(), |_| 200)
}

#[tokio::test]
async fn a_bad_token_is_401() {
    let live = token(ID);
    let expired = token(&ID.replace('0', "1"));
    let timely = token(&ID.replace('0', "2"));
    let seconds = |seconds| Some(Utc::now() + chrono::Duration::seconds(seconds));
    let (_, auth) = setup(&[
        row(&live, Role::Admin, None),
        row(&expired, Role::Admin, seconds(-1)),
        row(&timely, Role::Admin, seconds(60)),
    ]);
    for good in [PLATFORM, &live, &timely] {
        assert_eq!(status(&auth, &bearing(good)).await, 200, "{good}");
    }
    let basic = format!("Basic {live}");
    let lower = format!("bearer  {live} ");
    assert_eq!(
        status(&auth, &headers(&[("authorization", &lower)])).await,
        200
    );
    for bad in [
        headers(&[]),
        headers(&[("authorization", &live)]),
        headers(&[("authorization", &basic)]),
        headers(&[("authorization", "Bearer")]),
        headers(&[("authorization", "Bearer ")]),
        bearing(&expired),
        bearing(&format!("{live}x")),
        bearing(&live[..live.len() - 1]),
        bearing(&token(&ID.replace('a', "c"))),
        bearing(&token(&ID.to_uppercase())),
        bearing("hlk_"),
        bearing("a.b.c"),
        bearing(&PLATFORM[1..]),
    ] {
        assert_eq!(status(&auth, &bad).await, 401, "{bad:?}");
    }
    let mut twice = bearing(PLATFORM);
    twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    assert_eq!(status(&auth, &twice).await, 401);
}

#[tokio::test(start_paused = true)]
async fn revocation_takes_effect_within_a_second_and_the_store_is_asked_seldom() {
    let live = token(ID);
    let (memory, auth) = setup(&[row(&live, Role::Admin, None)]);
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        assert_eq!(status(&auth, &bearing(&live)).await, 200);
        tokio::time::advance(Duration::from_millis(7)).await;
    }
    let questions = memory.questions.load(Ordering::Relaxed);
    assert!((15..=21).contains(&questions), "{questions}");
    memory.tokens.lock().unwrap().clear();
    tokio::time::advance(Duration::from_millis(999)).await;
    assert_eq!(status(&auth, &bearing(&live)).await, 401);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_asked_is_503() {
    let live = token(ID);
    let (memory, auth) = setup(&[row(&live, Role::Admin, None)]);
    *memory.is_down.lock().unwrap() = true;
    assert_eq!(status(&auth, &bearing(&live)).await, 503);
    *memory.is_down.lock().unwrap() = false;
    assert_eq!(status(&auth, &bearing(&live)).await, 200);
    assert_eq!(status(&auth, &bearing(PLATFORM)).await, 200);
}

#[tokio::test]
async fn the_header_chooses_the_platforms_tenant_and_nobody_elses() {
    let live = token(ID);
    let (_, auth) = setup(&[row(&live, Role::Viewer, None)]);
    for (bearer, tenant, expected) in [
        (PLATFORM, None, Err((400, "missing_tenant"))),
        (PLATFORM, Some("acme"), Ok("acme")),
        (PLATFORM, Some("nobody"), Err((404, "not_found"))),
        (PLATFORM, Some("No Tenant"), Err((404, "not_found"))),
        (live.as_str(), None, Ok("acme")),
        (live.as_str(), Some("acme"), Ok("acme")),
        (live.as_str(), Some("nobody"), Err((403, "wrong_tenant"))),
        (live.as_str(), Some(""), Err((403, "wrong_tenant"))),
    ] {
        let mut given = bearing(bearer);
        if let Some(tenant) = tenant {
            given.append(
                HeaderName::from_static(TENANT_HEADER),
                HeaderValue::from_str(tenant).unwrap(),
            );
        }
        let identity = auth.identify(&given).await.unwrap();
        let found = auth.tenant(&identity, &given).await;
        let found = found
            .as_ref()
            .map(TenantId::as_str)
            .map_err(|p| (p.status.as_u16(), p.code));
        assert_eq!(found, expected, "{tenant:?}");
    }
}

#[tokio::test]
async fn roles_permit_what_their_table_says() {
    let live = token(ID);
    for role in Role::ALL {
        let (_, auth) = setup(&[row(&live, role, None)]);
        let identity = auth.identify(&bearing(&live)).await.unwrap();
        assert_eq!(
            identity.require_platform().unwrap_err().code,
            "platform_only"
        );
        for permission in [
            Permission::WebhooksSecret,
            Permission::MessagesPublish,
            Permission::DeliveriesRead,
        ] {
            match identity.require(permission) {
                Ok(()) => assert!(role.permits(permission)),
                Err(problem) => {
                    assert!(!role.permits(permission));
                    assert_eq!(
                        (problem.status.as_u16(), problem.code),
                        (403, "missing_permission")
                    );
                    assert!(problem.detail.contains(permission.as_str()), "{problem}");
                }
            }
        }
        let actor = identity.actor();
        assert_eq!((actor.kind, &*actor.name), (ActorKind::Token, "ci"));
        assert_eq!(*actor.id, format!("tok_{ID}"));
    }
    assert!(Identity::Platform.require(Permission::TokensManage).is_ok());
    assert!(Identity::Platform.require_platform().is_ok());
}

#[test]
fn a_tokens_id_stands_in_it() {
    assert_eq!(
        api_token_id(&token(ID)).unwrap().to_string(),
        format!("tok_{ID}")
    );
    for bad in [
        "",
        "hlk_",
        &format!("hlk_{ID}"),
        &format!("tok_{ID}_x"),
        &format!("hlk_{}_x", &ID[1..]),
    ] {
        assert!(api_token_id(bad).is_none(), "{bad}");
    }
}

#[test]
fn hashes_are_compared_whole() {
    let hash = [7; 32];
    assert!(is_equal(&hash, &[7; 32]));
    for at in [0, 15, 31] {
        let mut other = hash;
        other[at] ^= 1;
        assert!(!is_equal(&hash, &other));
    }
    assert_eq!(decode_sha256(&"07".repeat(32)), Some(hash));
    for bad in [
        "",
        "07",
        &"07".repeat(33),
        &"0g".repeat(32),
        &"é".repeat(32),
    ] {
        assert_eq!(decode_sha256(bad), None);
    }
}
