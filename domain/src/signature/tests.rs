//! Published vectors, and what a verifier must refuse.

use proptest::prelude::*;

use super::*;

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIME: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const STANDARD_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn published() -> Secret {
    Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
}

fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    bytes
        .into_iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn agrees_with_githubs_documentation() {
    let mac = keyed(b"It's a Secret to Everybody")
        .chain_update("Hello, World!")
        .finalize();
    let expected = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(hex(mac.into_bytes()), expected);
}

#[test]
fn agrees_with_rfc_4231_for_a_key_longer_than_a_block() {
    let text = "Test Using Larger Than Block-Size Key - Hash Key First";
    let mac = keyed(&[0xaa; 131]).chain_update(text).finalize();
    let expected = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
    assert_eq!(hex(mac.into_bytes()), expected);
}

#[test]
fn agrees_with_standard_webhooks() {
    assert_eq!(standard(&published(), ID, TIME, BODY), STANDARD_SIGNATURE);
    let verified = verify_standard(
        &published(),
        ID,
        "1614265330",
        STANDARD_SIGNATURE,
        BODY,
        TIME,
        300,
    );
    assert_eq!(verified, Ok(()));
}

#[test]
fn github_signs_with_the_whole_text() {
    let secret = published();
    let mac = HmacSha256::new_from_slice(secret.as_str().as_bytes()).unwrap();
    let expected = hex(mac.chain_update(BODY).finalize().into_bytes());
    assert_eq!(github(&secret, BODY), format!("sha256={expected}"));
}

#[test]
fn a_rotated_header_is_accepted_by_either_secret() {
    let (old, new) = (published(), Secret::from_bytes(&[7; 32]));
    let header = format!(
        "v1a,xxxx {} {}",
        standard(&new, ID, TIME, BODY),
        standard(&old, ID, TIME, BODY)
    );
    for secret in [old, new] {
        let verified = verify_standard(&secret, ID, "1614265330", &header, BODY, TIME, 0);
        assert_eq!(verified, Ok(()));
    }
}

#[test]
fn refuses_what_is_not_signed_so() {
    let verify = |id: &str, time: &str, header: &str, body: &[u8], now: i64| {
        verify_standard(&published(), id, time, header, body, now, 300)
    };
    let time = "1614265330";
    let cases = [
        (
            verify("msg_x", time, STANDARD_SIGNATURE, BODY, TIME),
            Mismatch::Signature,
        ),
        (
            verify(ID, "1614265331", STANDARD_SIGNATURE, BODY, TIME),
            Mismatch::Signature,
        ),
        (
            verify(ID, time, STANDARD_SIGNATURE, b"{}", TIME),
            Mismatch::Signature,
        ),
        (verify(ID, time, "v1,AAAA", BODY, TIME), Mismatch::Signature),
        (verify(ID, time, "", BODY, TIME), Mismatch::Malformed),
        (verify(ID, time, "v2,AAAA", BODY, TIME), Mismatch::Malformed),
        (
            verify(ID, "soon", STANDARD_SIGNATURE, BODY, TIME),
            Mismatch::Malformed,
        ),
        (
            verify(ID, time, STANDARD_SIGNATURE, BODY, TIME + 301),
            Mismatch::Timestamp { age_s: 301 },
        ),
        (
            verify(ID, time, STANDARD_SIGNATURE, BODY, TIME - 301),
            Mismatch::Timestamp { age_s: -301 },
        ),
    ];
    for (number, (found, expected)) in cases.into_iter().enumerate() {
        assert_eq!(found, Err(expected), "case {number}");
    }
    let far = verify(
        ID,
        &i64::MIN.to_string(),
        STANDARD_SIGNATURE,
        BODY,
        i64::MAX,
    );
    assert_eq!(far, Err(Mismatch::Timestamp { age_s: i64::MAX }));
}

#[test]
fn refuses_malformed_github_headers() {
    let good = github(&published(), BODY);
    assert_eq!(verify_github(&published(), BODY, &good), Ok(()));
    assert_eq!(
        verify_github(&published(), b"", &good),
        Err(Mismatch::Signature)
    );
    for header in [
        "",
        "sha256=",
        "sha1=00",
        &good[7..],
        &good[..70],
        "sha256=é",
    ] {
        assert_eq!(
            verify_github(&published(), BODY, header),
            Err(Mismatch::Malformed),
            "{header}"
        );
    }
}

#[test]
fn parses_only_canonical_secrets() {
    let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
    for bytes in [24, 32, 33, 64] {
        assert_eq!(Secret::parse(&of(bytes)).unwrap().as_str(), of(bytes));
    }
    for bytes in [0, 23, 65] {
        assert_eq!(
            Secret::parse(&of(bytes)),
            Err(InvalidSecret::Length { bytes })
        );
    }
    assert_eq!(Secret::parse(&of(32)[6..]), Err(InvalidSecret::Prefix));
    let unpadded = of(32).trim_end_matches('=').to_owned();
    let trailing_bits = format!("whsec_{}AB=", "A".repeat(40));
    for text in [
        unpadded,
        trailing_bits,
        format!("{} ", of(24)),
        of(24).replace('A', "-"),
    ] {
        assert_eq!(Secret::parse(&text), Err(InvalidSecret::Base64), "{text}");
    }
}

#[test]
fn hides_itself_from_debug() {
    assert_eq!(format!("{:?}", published()), "Secret(whsec_***)");
}

proptest! {
    #[test]
    fn keys_as_the_hmac_crate_does(
        key in proptest::collection::vec(any::<u8>(), 0..140),
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let theirs = HmacSha256::new_from_slice(&key).unwrap().chain_update(&body).finalize();
        prop_assert_eq!(keyed(&key).chain_update(&body).finalize().into_bytes(), theirs.into_bytes());
    }

    #[test]
    fn verifies_what_it_signs(
        bytes in any::<[u8; 32]>(),
        time in any::<i64>(),
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let secret = Secret::from_bytes(&bytes);
        prop_assert_eq!(&Secret::parse(secret.as_str()).unwrap(), &secret);
        let header = standard(&secret, ID, time, &body);
        let verified = verify_standard(&secret, ID, &time.to_string(), &header, &body, time, 0);
        prop_assert_eq!(verified, Ok(()));
        prop_assert_eq!(verify_github(&secret, &body, &github(&secret, &body)), Ok(()));
    }
}
