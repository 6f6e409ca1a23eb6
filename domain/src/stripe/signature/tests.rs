use proptest::prelude::*;

use super::*;

const BODY: &[u8] = br#"{"id":"evt_1"}"#;
const NOW: i64 = 1_700_000_000;
/// Made by `hmac.new(b"whsec_test_secret", b'1700000000.{"id":"evt_1"}', hashlib.sha256)` of Python.
const SIGNATURE: &str = "248a374f50f943a28b0f6ab50faf9a7e7e29b710fa26df9fb1618b9bf8ea9c9a";

fn secret(text: &str) -> EndpointSecret {
    EndpointSecret::parse(text).unwrap()
}

fn sign(secret_text: &str, time: &str, body: &[u8]) -> String {
    let mac = secret(secret_text)
        .0
        .chain_update(time)
        .chain_update(".")
        .chain_update(body)
        .finalize()
        .into_bytes();
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(header: &str, body: &[u8], secrets: &[&str]) -> Result<(), Mismatch> {
    let secrets: Vec<_> = secrets.iter().map(|text| secret(text)).collect();
    SignatureHeader::parse(header.as_bytes(), NOW)?.verify(body, &secrets)
}

const SECRET: &str = "whsec_test_secret";

#[test]
fn what_another_implementation_has_signed_is_believed() {
    let header = format!("t={NOW},v1={SIGNATURE}");
    assert_eq!(check(&header, BODY, &[SECRET]), Ok(()));
    let header = SignatureHeader::parse(header.as_bytes(), NOW).unwrap();
    assert_eq!(header.time, NOW.to_string());
}

#[test]
fn any_signature_by_any_secret_does_and_other_schemes_do_not_count() {
    let (new, old) = (
        sign("whsec_new", "1700000000", BODY),
        sign("whsec_old", "1700000000", BODY),
    );
    for header in [
        format!("t={NOW},v1={new},v1={old}"),
        format!("t={NOW},v0={new},v1={old},v2=what"),
        format!("v1={old},t={NOW}"),
        format!("t={NOW},v1={},v1={old}", "0".repeat(64)),
        format!("t={NOW},v1=short,v1={old}"),
        format!("scheme=,t={NOW},v1={old}"),
    ] {
        let secrets = ["whsec_unknown", "whsec_old"];
        assert_eq!(check(&header, BODY, &secrets), Ok(()), "{header}");
    }
    let header = format!("t={NOW},v0={new}");
    assert_eq!(
        check(&header, BODY, &["whsec_new"]),
        Err(Mismatch::NoSignature)
    );
    let header = format!("t={NOW},v1={new}");
    assert_eq!(check(&header, BODY, &[]), Err(Mismatch::Signature));
}

#[test]
fn wrong_headers_are_told_apart() {
    let good = SIGNATURE;
    let upper = good.to_uppercase();
    let long = format!("t={NOW},v1={good},{}", "x=y,".repeat(2000));
    for (header, expected) in [
        ("", Mismatch::Missing),
        ("garbage", Mismatch::Malformed),
        (&*format!("t={NOW},v1={good},"), Mismatch::Malformed),
        (&*format!("t={NOW};v1={good}"), Mismatch::NoTime),
        (&*long, Mismatch::Malformed),
        (&*format!("v1={good}"), Mismatch::NoTime),
        (&*format!("t=,v1={good}"), Mismatch::NoTime),
        (&*format!("t=+{NOW},v1={good}"), Mismatch::NoTime),
        (&*format!("t=-{NOW},v1={good}"), Mismatch::NoTime),
        (&*format!("t=0{NOW},v1={good}"), Mismatch::NoTime),
        (&*format!("t={NOW}.0,v1={good}"), Mismatch::NoTime),
        (&*format!("t= {NOW},v1={good}"), Mismatch::NoTime),
        (
            &*format!("t=1{},v1={good}", "0".repeat(30)),
            Mismatch::NoTime,
        ),
        (&*format!(" t={NOW},v1={good}"), Mismatch::NoTime),
        (&*format!("T={NOW},v1={good}"), Mismatch::NoTime),
        (
            &*format!("t={NOW},t={NOW},v1={good}"),
            Mismatch::SeveralTimes,
        ),
        (&*format!("t={NOW}"), Mismatch::NoSignature),
        (&*format!("t={NOW},v1="), Mismatch::NoSignature),
        (&*format!("t={NOW},v1={upper}"), Mismatch::NoSignature),
        (&*format!("t={NOW},V1={good}"), Mismatch::NoSignature),
        (&*format!("t={NOW}, v1={good}"), Mismatch::NoSignature),
        (
            &*format!("t={NOW},v1={}", &good[..63]),
            Mismatch::NoSignature,
        ),
        (&*format!("t={NOW},v1={good}0"), Mismatch::NoSignature),
        (
            &*format!("t={NOW},v1={}", &"g".repeat(64)),
            Mismatch::NoSignature,
        ),
        (
            &*format!("t={NOW},v1={}", "0".repeat(64)),
            Mismatch::Signature,
        ),
        (&*format!("t={},v1={good}", NOW + 1), Mismatch::Signature),
    ] {
        assert_eq!(check(header, BODY, &[SECRET]), Err(expected), "{header}");
    }
    let header = format!("t={NOW},v1={good}");
    assert_eq!(
        check(&header, BODY, &["whsec_other"]),
        Err(Mismatch::Signature)
    );
    assert_eq!(
        check(&header, b"{\"id\":\"evt_1\"}\n", &[SECRET]),
        Err(Mismatch::Signature)
    );
}

#[test]
fn the_tolerance_holds_to_both_sides() {
    for (age_s, is_fresh) in [
        (0, true),
        (300, true),
        (301, false),
        (-300, true),
        (-301, false),
        (NOW, false),
    ] {
        let time = (NOW - age_s).to_string();
        let header = format!("t={time},v1={}", sign(SECRET, &time, BODY));
        let expected = match is_fresh {
            true => Ok(()),
            false => Err(Mismatch::Time { age_s }),
        };
        assert_eq!(check(&header, BODY, &[SECRET]), expected, "{age_s}");
    }
}

#[test]
fn an_empty_secret_is_none() {
    let long = "x".repeat(SECRET_BYTES_MAX + 1);
    for bad in ["", "whsec_", " ", "whsec_ a", "whsec_\u{e9}", "a\nb", &long] {
        assert_eq!(
            EndpointSecret::parse(bad).unwrap_err(),
            InvalidEndpointSecret
        );
    }
    assert!(EndpointSecret::parse("whsec_5").is_ok());
    let shown = format!("{:?}", secret("whsec_hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

proptest! {
    #[test]
    fn no_header_and_no_body_is_believed_by_chance(
        header in prop::collection::vec(any::<u8>(), 0..200), body in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let header = SignatureHeader::parse(&header, NOW);
        let is_believed = header.is_ok_and(|header| header.verify(&body, &[secret(SECRET)]).is_ok());
        prop_assert!(!is_believed);
    }

    #[test]
    fn a_changed_byte_is_noticed(
        body in prop::collection::vec(any::<u8>(), 1..200), place in any::<prop::sample::Index>(), by in 1u8..,
    ) {
        let time = NOW.to_string();
        let header = format!("t={time},v1={}", sign(SECRET, &time, &body));
        prop_assert_eq!(check(&header, &body, &[SECRET]), Ok(()));
        let mut changed = body.clone();
        changed[place.index(body.len())] ^= by;
        prop_assert_eq!(check(&header, &changed, &[SECRET]), Err(Mismatch::Signature));
    }
}
