//! What is not signed by Stripe, just now and just so, is refused before anything else, and leaves nothing
//! behind.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use chrono::Utc;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    App, DEADLINE, STRIPE, Stripe,
    stripe::{STRIPE_SECRET, WEBHOOK, event, header, hex, hmac, sign},
};

/// What is brought: as Stripe writes it, with blanks and letters that another writer would change.
const BODY: &str = "{\n  \"id\": \"evt_refused\",\n  \"type\": \"invoice.paid\",\n  \"created\": 1790000000,\n  \
                    \"data\": {\"object\": {\"id\": \"in_1\", \"note\": \"Gr\u{fc}\u{df}e \u{1f980}\", \
                    \"metadata\": {\"tenant_id\": \"acme\"}}}\n}";

/// Something that is not to be believed.
struct Wrong {
    what: &'static str,
    header: Option<Vec<u8>>,
    body: Vec<u8>,
}

fn wrong(what: &'static str, header: impl Into<Vec<u8>>) -> Wrong {
    Wrong {
        what,
        header: Some(header.into()),
        body: BODY.into(),
    }
}

/// A header with this time, right but for what the time looks like.
fn at(time: &str) -> String {
    format!("t={time},v1={}", sign(STRIPE_SECRET, time, BODY.as_bytes()))
}

fn no_lists(now: i64, good: &str) -> Vec<Wrong> {
    let missing = Wrong {
        header: None,
        ..wrong("no header", "")
    };
    let long = format!("t={now},v1={good},x={}", "x".repeat(4096));
    let not_text = [format!("t={now},v1={good},x=").as_bytes(), b"\xff\xfe"].concat();
    vec![
        missing,
        wrong("empty", ""),
        wrong("a blank", " "),
        wrong("garbage", "garbage"),
        wrong("no names", "=,="),
        wrong("a comma", ","),
        wrong("a name", "t"),
        wrong("JSON", format!(r#"{{"t":{now},"v1":"{good}"}}"#)),
        wrong("a comma at the end", format!("t={now},v1={good},")),
        wrong("a comma at the start", format!(",t={now},v1={good}")),
        wrong("two commas", format!("t={now},,v1={good}")),
        wrong("a blank after the comma", format!("t={now}, v1={good}")),
        wrong("a blank before the sign", format!("t ={now},v1={good}")),
        wrong("a blank after the sign", format!("t= {now},v1={good}")),
        wrong("a tab", format!("t={now}\t,v1={good}")),
        wrong("semicolons", format!("t={now};v1={good}")),
        wrong("as in a query", format!("t={now}&v1={good}")),
        wrong("colons", format!("t:{now},v1:{good}")),
        wrong("quotes", format!("t=\"{now}\",v1=\"{good}\"")),
        wrong("capital letters", format!("T={now},V1={good}")),
        wrong("over 4096 bytes", long),
        wrong("bytes that are no text", not_text),
    ]
}

fn signatures(now: i64, good: &str) -> Vec<Wrong> {
    let mac = hmac(
        STRIPE_SECRET.as_bytes(),
        [format!("{now}.").as_bytes(), BODY.as_bytes()]
            .concat()
            .as_slice(),
    );
    let last = if good.ends_with('0') { '1' } else { '0' };
    [
        ("no v1", format!("t={now}")),
        ("an empty v1", format!("t={now},v1=")),
        ("only v0", format!("t={now},v0={good}")),
        ("only v2", format!("t={now},v2={good}")),
        (
            "only a name that begins alike",
            format!("t={now},v10={good}"),
        ),
        ("a digit too few", format!("t={now},v1={}", &good[1..])),
        ("half of it", format!("t={now},v1={}", &good[..32])),
        ("a digit too many", format!("t={now},v1={good}0")),
        ("twice in one", format!("t={now},v1={good}{good}")),
        ("upper case", format!("t={now},v1={}", good.to_uppercase())),
        (
            "another last digit",
            format!("t={now},v1={}{last}", &good[..63]),
        ),
        ("zeros", format!("t={now},v1={}", "0".repeat(64))),
        ("no digits", format!("t={now},v1={}", "g".repeat(64))),
        ("base64", format!("t={now},v1={}", BASE64.encode(mac))),
        ("an algorithm", format!("t={now},v1=sha256={good}")),
        ("0x", format!("t={now},v1=0x{good}")),
        (
            "the bytes' sum",
            format!("t={now},v1={}", hex(&Sha256::digest(BODY))),
        ),
        (
            "several that do not hold",
            format!("t={now},v0={good},v1={0},v1={0}", "1".repeat(64)),
        ),
    ]
    .map(|(what, header)| wrong(what, header))
    .into()
}

/// Signed, but with another key or over something else than time, dot and body.
fn of_something_else(now: i64) -> Vec<Wrong> {
    let bare = STRIPE_SECRET.trim_start_matches("whsec_");
    let decoded = BASE64.decode(bare).unwrap();
    let key = STRIPE_SECRET.as_bytes();
    let over = |content: String| hmac(key, content.as_bytes());
    let content = format!("{now}.{BODY}");
    [
        ("another secret", hmac(b"whsec_other", content.as_bytes())),
        ("no secret", hmac(b"", content.as_bytes())),
        (
            "a secret without content",
            hmac(b"whsec_", content.as_bytes()),
        ),
        (
            "the secret without its prefix",
            hmac(bare.as_bytes(), content.as_bytes()),
        ),
        ("the secret as base64", hmac(&decoded, content.as_bytes())),
        (
            "the secret and a new line",
            hmac(format!("{STRIPE_SECRET}\n").as_bytes(), content.as_bytes()),
        ),
        ("the body alone", over(BODY.to_owned())),
        ("time and body without a dot", over(format!("{now}{BODY}"))),
        ("time and body with a comma", over(format!("{now},{BODY}"))),
        ("body and time", over(format!("{BODY}.{now}"))),
        ("the header's item", over(format!("t={now}.{BODY}"))),
        (
            "an id as well, as others do",
            over(format!("evt_refused.{now}.{BODY}")),
        ),
        ("another second", over(format!("{}.{BODY}", now - 1))),
        ("time and nothing", over(format!("{now}."))),
    ]
    .map(|(what, mac)| wrong(what, format!("t={now},v1={}", hex(&mac))))
    .into()
}

fn times(now: i64, good: &str) -> Vec<Wrong> {
    let old = now - 3600;
    let old_signature = sign(STRIPE_SECRET, old, BODY.as_bytes());
    [
        ("no t", format!("v1={good}")),
        ("an empty t", at("")),
        // Time goes on: it is at least as old when it arrives, and perhaps less far ahead.
        ("301 s old", at(&(now - 301).to_string())),
        ("a day old", at(&(now - 86_400).to_string())),
        ("of 1970", at("0")),
        ("310 s ahead", at(&(now + 310).to_string())),
        ("a year ahead", at(&(now + 31_536_000).to_string())),
        ("two t", format!("t={now},t={now},v1={good}")),
        (
            "a fresh t before the signed one",
            format!("t={now},t={old},v1={old_signature}"),
        ),
        (
            "a fresh t after it",
            format!("t={old},v1={old_signature},t={now}"),
        ),
        (
            "a fresh t instead of it",
            format!("t={now},v1={old_signature}"),
        ),
        ("milliseconds", at(&format!("{now}000"))),
        ("a plus", at(&format!("+{now}"))),
        ("a minus", at(&format!("-{now}"))),
        ("a leading zero", at(&format!("0{now}"))),
        ("a decimal", at(&format!("{now}.0"))),
        ("an exponent", at("1.79e9")),
        ("hexadecimal", at(&format!("{now:#x}"))),
        ("underscores", at("1_790_000_000")),
        ("a date", at("2026-11-26T10:00:00Z")),
        ("another script's digits", at("\u{ff11}\u{ff17}\u{ff19}")),
        ("over 64 bits", at("99999999999999999999")),
        ("the last of 64 bits", at("9223372036854775807")),
        ("the last of 64 bits below zero", at("-9223372036854775808")),
    ]
    .map(|(what, header)| wrong(what, header))
    .into()
}

/// Right headers over bodies that somebody has touched.
fn bodies(now: i64, good: &str) -> Vec<Wrong> {
    let parsed: Value = serde_json::from_str(BODY).unwrap();
    let windows = BODY.replace('\n', "\r\n");
    [
        ("written anew", parsed.to_string()),
        ("written anew and indented", format!("{parsed:#}")),
        ("a new line more", format!("{BODY}\n")),
        ("a blank before", format!(" {BODY}")),
        ("a byte order mark", format!("\u{feff}{BODY}")),
        ("other ends of lines", windows),
        ("escaped", BODY.replace('\u{fc}', "\\u00fc")),
        ("composed otherwise", BODY.replace('\u{fc}', "u\u{308}")),
        ("cut off", BODY[..BODY.len() - 1].to_owned()),
        ("empty", String::new()),
        ("twice", BODY.repeat(2)),
        ("another one", BODY.replace("acme", "evil")),
        ("no JSON", "signed?".to_owned()),
    ]
    .map(|(what, body)| Wrong {
        body: body.into(),
        ..wrong(what, format!("t={now},v1={good}"))
    })
    .into()
}

/// Writes a request as nobody else would; gives the answer's status and body.
async fn write(app: &App, headers: &[&[u8]], body: &[u8]) -> (u16, Value) {
    let mut request =
        format!("POST {WEBHOOK} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n").into_bytes();
    for header in headers {
        request.extend([b"Stripe-Signature: ", *header, b"\r\n"].concat());
    }
    request.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
    request.extend(body);
    let mut stream = TcpStream::connect(app.address()).await.unwrap();
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer));
    read.await.expect("the connection ends").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// All that is known of what happened.
async fn ledger(app: &App) -> Vec<Value> {
    let platform = app.platform();
    let waiting = platform.get("/api/platform/billing/unassigned").await;
    assert_eq!(waiting.expect(200)["data"], json!([]));
    platform.walk("/api/platform/audit", 200).await
}

#[tokio::test]
async fn what_stripe_did_not_sign_now_and_so_is_refused() {
    let app = App::with(&[STRIPE]).await;
    let tenant = app.tenant("acme").await;
    let before = ledger(&app).await;
    let now = Utc::now().timestamp();
    let good = sign(STRIPE_SECRET, now, BODY.as_bytes());
    let all: Vec<Wrong> = [
        no_lists(now, &good),
        signatures(now, &good),
        of_something_else(now),
        times(now, &good),
        bodies(now, &good),
    ]
    .into_iter()
    .flatten()
    .collect();
    // More failures at once would not be told of one by one.
    assert!((45..100).contains(&all.len()), "{}", all.len());
    for Wrong { what, header, body } in &all {
        let headers: Vec<&[u8]> = header.iter().map(Vec::as_slice).collect();
        let (status, problem) = write(&app, &headers, body).await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &json!("invalid_signature")),
            "{what}: {problem}"
        );
        let said = problem.to_string();
        assert!(
            !said.contains(&good) && !said.contains(STRIPE_SECRET),
            "{what}: {said}"
        );
    }
    let once = at(&now.to_string());
    let (status, problem) = write(&app, &[once.as_bytes(), once.as_bytes()], BODY.as_bytes()).await;
    assert_eq!(
        (status, &problem["code"]),
        (400, &json!("invalid_parameter"))
    );
    assert_eq!(ledger(&app).await, before);
    assert_eq!(tenant.billing().await["invoices"], json!([]));

    // There was nothing wrong but what was said.
    let (status, taken) = write(&app, &[once.as_bytes()], BODY.as_bytes()).await;
    assert_eq!(
        (status, &taken["outcome"]),
        (200, &json!("applied")),
        "{taken}"
    );
    assert!(ledger(&app).await.len() > before.len());
}

#[tokio::test]
async fn any_signature_by_any_of_the_secrets_is_enough() {
    let (new, old) = (STRIPE_SECRET, "whsec_old");
    let list = format!("{new}, {old}");
    let app = App::with(&[("STRIPE_WEBHOOK_SECRET", &list)]).await;
    let stripe = Stripe::of(&app);
    let now = Utc::now().timestamp();
    let zeros = "0".repeat(64);
    type Make<'a> = Box<dyn Fn(&[u8]) -> String + 'a>;
    let ways: Vec<(&str, Make<'_>)> = vec![
        ("the first secret", Box::new(|body| header(new, body))),
        ("the second secret", Box::new(|body| header(old, body))),
        (
            "both",
            Box::new(|body| format!("{},v1={}", header(new, body), sign(old, now, body))),
        ),
        (
            "one that does not hold first",
            Box::new(|body| format!("t={now},v1={zeros},v1={}", sign(old, now, body))),
        ),
        (
            "one that is none first",
            Box::new(|body| format!("t={now},v1=none,v1={}", sign(new, now, body))),
        ),
        (
            "other schemes beside it",
            Box::new(|body| format!("v0={zeros},t={now},v2=x,v1={},a=", sign(new, now, body))),
        ),
        (
            "the time at the end",
            Box::new(|body| format!("v1={},t={now}", sign(new, now, body))),
        ),
        (
            "290 s old",
            Box::new(|body| format!("t={},v1={}", now - 290, sign(new, now - 290, body))),
        ),
        (
            // When it arrives it is not further ahead.
            "300 s ahead",
            Box::new(|body| format!("t={},v1={}", now + 300, sign(new, now + 300, body))),
        ),
        (
            "a long header",
            Box::new(|body| format!("{},x={}", header(new, body), "x".repeat(3900))),
        ),
    ];
    for (number, (what, header)) in ways.iter().enumerate() {
        let id = format!("evt_{number}");
        let body = event(&id, "customer.created", 0, json!({})).to_string();
        let answer = stripe
            .bring_with(&header(body.as_bytes()), body.as_bytes())
            .await;
        let expected = json!({"id": id, "outcome": "ignored", "duplicate": false});
        assert_eq!(answer.expect(200), expected, "{what}");
    }
}

/// The bytes are those that arrived, whatever they would look like if somebody wrote them anew.
#[tokio::test]
async fn a_body_is_verified_as_it_arrives() {
    let app = App::with(&[STRIPE]).await;
    let stripe = Stripe::of(&app);
    let large = "\u{e9}\u{1f980}".repeat(50_000);
    for (number, rest) in [
        r#""type":"a.b""#,
        r#""type" : "a.b" , "x" : 1.0e2 , "y" : 12345678901234567890123 "#,
        "\"type\":\"a.b\",\"x\":\"Gr\u{fc}\u{df}e \\u00fc \\/ \u{1f980}\"",
        r#""type":"a.b","type":"a.b""#,
        r#""type":"a.b","data":{}"#,
        r#""type":"a.b","data":{"object":{}}"#,
        r#""type":"a.b","data":{"object":null},"id":"evt_last""#,
        &format!("\"type\":\"a.b\",\"x\":\"{large}\""),
        "\r\n\t\"type\":\r\n\t\"a.b\"\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let body = format!("{{\"id\":\"evt_{number}\",{rest}}}\n");
        let answer = stripe.bring_bytes(body.as_bytes()).await.expect(200);
        assert_eq!(answer["outcome"], "ignored", "{number}");
    }
}
