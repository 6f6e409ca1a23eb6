use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::*;

mod samples;

use samples::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn options(key: JwtKey) -> JwtOptions {
    JwtOptions {
        key,
        issuer: None,
        audience: None,
        tenant_claim: "tenant_id".to_owned(),
        role_claim: "role".to_owned(),
    }
}

fn hs256() -> JwtOptions {
    options(JwtKey::Hs256Secret(SECRET.to_owned()))
}

/// A verifier whose key is in a file with this content.
fn with_file(content: &str, key: fn(PathBuf) -> JwtKey) -> Result<Verifier, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    Verifier::load(options(key(file.path().to_owned())))
}

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

/// A token with the claims of a good one, changed by `changes` (`null` takes one out).
fn signed(header: &Header, secret: &[u8], changes: Value) -> String {
    let mut claims = json!({
        "sub": "u1", "name": "Ada", "tenant_id": "acme", "role": "operator", "exp": now() + 60,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let claims: Map<String, Value> = claims
        .as_object()
        .unwrap()
        .clone()
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .collect();
    jsonwebtoken::encode(header, &claims, &EncodingKey::from_secret(secret)).unwrap()
}

fn token(changes: Value) -> String {
    signed(&Header::default(), SECRET.as_bytes(), changes)
}

fn verdict(options: JwtOptions, token: &str) -> Result<Role, u16> {
    let verified = Verifier::load(options).unwrap().verify(token);
    verified
        .map(|member| member.role)
        .map_err(|problem| problem.status.as_u16())
}

#[test]
fn a_good_token_names_tenant_role_and_user() {
    let member = Verifier::load(hs256())
        .unwrap()
        .verify(&token(json!({})))
        .unwrap();
    assert_eq!(member.tenant.as_str(), "acme");
    assert_eq!(member.role, Role::Operator);
    assert_eq!(member.actor.kind, ActorKind::User);
    assert_eq!((&*member.actor.id, &*member.actor.name), ("u1", "Ada"));
}

#[test]
fn claims_are_judged() {
    for (changes, expected) in [
        (json!({"exp": now() - 60}), Err(401)),
        (json!({"exp": null}), Err(401)),
        (json!({"exp": "tomorrow"}), Err(401)),
        (json!({"nbf": now() + 60}), Err(401)),
        (json!({"nbf": now() - 60}), Ok(Role::Operator)),
        (json!({"aud": "somebody else"}), Ok(Role::Operator)),
        (json!({"sub": null, "name": null}), Ok(Role::Operator)),
        (json!({"tenant_id": null}), Err(403)),
        (json!({"tenant_id": "No Tenant"}), Err(403)),
        (json!({"tenant_id": 7}), Err(403)),
        (json!({"role": null}), Err(403)),
        (json!({"role": "root"}), Err(403)),
        (
            json!({"role": ["x", "publisher", "viewer"]}),
            Ok(Role::Viewer),
        ),
    ] {
        assert_eq!(
            verdict(hs256(), &token(changes.clone())),
            expected,
            "{changes}"
        );
    }
}

#[test]
fn issuer_and_audience_are_judged_where_set() {
    let strict = || JwtOptions {
        issuer: Some("idp".to_owned()),
        audience: Some("hooks".to_owned()),
        ..hs256()
    };
    for (changes, expected) in [
        (json!({"iss": "idp", "aud": "hooks"}), Ok(Role::Operator)),
        (
            json!({"iss": "idp", "aud": ["other", "hooks"]}),
            Ok(Role::Operator),
        ),
        (json!({"iss": "idp", "aud": "other"}), Err(401)),
        (json!({"iss": "idp"}), Err(401)),
        (json!({"iss": "other", "aud": "hooks"}), Err(401)),
        (json!({"aud": "hooks"}), Err(401)),
    ] {
        assert_eq!(
            verdict(strict(), &token(changes.clone())),
            expected,
            "{changes}"
        );
    }
}

#[test]
fn a_signature_must_be_by_the_key() {
    let good = token(json!({}));
    let (rest, _) = good.rsplit_once('.').unwrap();
    let other_secret = signed(&Header::default(), b"another secret", json!({}));
    for bad in [
        other_secret,
        format!("{rest}."),
        rest.to_owned(),
        format!("{good}x"),
        "a.b.c".to_owned(),
    ] {
        assert_eq!(verdict(hs256(), &bad), Err(401), "{bad}");
    }
}

#[test]
fn no_algorithm_but_the_keys_own() {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({"tenant_id": "acme", "role": "admin", "exp": now() + 60});
    for algorithm in ["none", "None", "NONE", ""] {
        let unsigned = format!(
            "{}.{}.",
            part(json!({"alg": algorithm})),
            part(claims.clone())
        );
        assert_eq!(verdict(hs256(), &unsigned), Err(401), "{algorithm}");
    }
    let hs512 = signed(&Header::new(Algorithm::HS512), SECRET.as_bytes(), json!({}));
    assert_eq!(verdict(hs256(), &hs512), Err(401));
}

#[test]
fn a_public_key_is_not_taken_for_a_secret() {
    for public in [RS256_PUBLIC, ES256_PUBLIC, EDDSA_PUBLIC] {
        let verifier = with_file(public, JwtKey::PublicKeyFile).unwrap();
        for secret in [public.to_owned(), format!("{public}\n")] {
            let forged = signed(&Header::default(), secret.as_bytes(), json!({}));
            assert_eq!(verifier.verify(&forged).unwrap_err().status, 401);
        }
    }
}

#[test]
fn public_keys_of_every_kind_are_read() {
    let all = [
        (RS256_PUBLIC, RS256_TOKEN),
        (ES256_PUBLIC, ES256_TOKEN),
        (EDDSA_PUBLIC, EDDSA_TOKEN),
    ];
    for (public, _) in all {
        let verifier = with_file(public, JwtKey::PublicKeyFile).unwrap();
        for (owner, token) in all {
            let result = verifier.verify(token).map(|member| member.role);
            assert_eq!(result.is_ok(), owner == public, "{result:?}");
        }
    }
}

#[test]
fn extensions_that_must_be_understood_are_not() {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","crit":["x"],"x":1}"#);
    let good = token(json!({}));
    let (_, claims) = good.rsplit_once('.').unwrap().0.split_once('.').unwrap();
    let message = format!("{header}.{claims}");
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    assert_eq!(
        verdict(hs256(), &format!("{message}.{signature}")),
        Err(401)
    );
}

#[test]
fn a_key_set_gives_the_key_that_the_token_names() {
    let set = |keys: Value| with_file(&json!({"keys": keys}).to_string(), JwtKey::JwksFile);
    let rsa = |more: Value| {
        let mut key = json!({"kty": "RSA", "n": RS256_MODULUS, "e": "AQAB"});
        for (name, value) in more.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    };
    let is_taken = |keys: Value, token: &str| set(keys).unwrap().verify(token).is_ok();
    assert!(is_taken(json!([rsa(json!({"kid": "k1"}))]), RS256_TOKEN_K1));
    assert!(is_taken(
        json!([rsa(json!({"kid": "k1", "use": "sig", "alg": "RS256"}))]),
        RS256_TOKEN_K1
    ));
    assert!(is_taken(
        json!([{"kty": "new"}, rsa(json!({}))]),
        RS256_TOKEN_K1
    ));
    assert!(is_taken(json!([rsa(json!({"kid": "k1"}))]), RS256_TOKEN));
    assert!(!is_taken(
        json!([rsa(json!({"kid": "k2"}))]),
        RS256_TOKEN_K1
    ));
    assert!(!is_taken(
        json!([rsa(json!({"alg": "PS256"}))]),
        RS256_TOKEN_K1
    ));

    let shared = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    for keys in [
        json!([]),
        json!([shared]),
        json!([rsa(json!({"use": "enc"}))]),
    ] {
        assert!(matches!(
            set(keys).err(),
            Some(Error::KeyCount { usable: 0, .. })
        ));
    }
}

#[test]
fn files_without_keys_are_refused_by_name() {
    let missing = options(JwtKey::JwksFile("/nowhere/keys.json".into()));
    assert!(
        Verifier::load(missing)
            .err()
            .unwrap()
            .to_string()
            .contains("/nowhere/keys.json")
    );
    assert!(matches!(
        with_file("x", JwtKey::PublicKeyFile).err(),
        Some(Error::NoPublicKey { .. })
    ));
    assert!(matches!(
        with_file("x", JwtKey::JwksFile).err(),
        Some(Error::NoKeySet { .. })
    ));
    let private = "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----";
    assert!(matches!(
        with_file(private, JwtKey::PublicKeyFile).err(),
        Some(Error::NoPublicKey { .. })
    ));
}
