//! How a received request is printed.

use std::fmt::Write;

use hookledger_domain::clock::rfc3339;
use serde_json::{Map, Value, json};

use super::{
    body::pretty,
    receiver::{BODY_BYTES_MAX, Received, Verdict},
};
use crate::cli::output::{Style, printable};

/// A request for people.
pub(crate) fn text(request: &Received, style: Style) -> String {
    let Received {
        number,
        method,
        path,
        answered,
        ..
    } = request;
    let mut text = style.strong(&format!(
        "#{number} {} {}",
        printable(method),
        printable(path)
    ));
    let _ = write!(text, "  {}", style.quiet(&rfc3339(request.received_at)));
    let status = answered.to_string();
    let is_good = (200..300).contains(answered);
    let status = if is_good {
        style.good(&status)
    } else {
        style.bad(&status)
    };
    let _ = writeln!(text, "  answered {status}");
    for (name, value) in request
        .headers
        .iter()
        .filter(|(name, _)| is_of_interest(name))
    {
        let _ = writeln!(text, "  {}", header(name, value, style));
    }
    text.push_str(&checks(request, style));
    text.push_str(&body(request));
    text
}

/// The two lines about a request's signatures.
pub(crate) fn checks(request: &Received, style: Style) -> String {
    let lines = [
        ("X-Webhook-Signature", request.checks.github),
        ("webhook-signature", request.checks.standard),
    ];
    lines
        .map(|(name, verdict)| format!("  {name:<20} {}\n", painted(verdict, style)))
        .concat()
}

/// A request's body, indented below its headers.
pub(crate) fn body(request: &Received) -> String {
    match &request.body {
        None => format!("  (over {BODY_BYTES_MAX} bytes, or cut off)"),
        Some(body) if body.is_empty() => "  (no body)".to_owned(),
        Some(body) => {
            let lines: Vec<String> = pretty(body)
                .lines()
                .map(|line| format!("  {line}"))
                .collect();
            lines.join("\n")
        }
    }
}

/// A header for people.
pub(crate) fn header(name: &str, value: &str, style: Style) -> String {
    format!(
        "{} {}",
        style.quiet(&format!("{}:", printable(name))),
        printable(value)
    )
}

/// A request for programs.
pub(super) fn json(request: &Received) -> Value {
    let headers: Map<String, Value> = request
        .headers
        .iter()
        .filter(|(name, _)| is_of_interest(name))
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    json!({
        "number": request.number,
        "received_at": rfc3339(request.received_at),
        "method": request.method,
        "path": request.path,
        "headers": headers,
        "signatures": {
            "x-webhook-signature": word(request.checks.github),
            "webhook-signature": word(request.checks.standard),
        },
        "status": request.answered,
        "body": request.body.as_deref().map(String::from_utf8_lossy),
    })
}

/// Others may hold a secret that the tenant configured, such as `Authorization`.
fn is_of_interest(name: &str) -> bool {
    name.starts_with("x-webhook-")
        || name.starts_with("webhook-")
        || matches!(name, "content-type" | "content-length" | "user-agent")
}

fn painted(verdict: Verdict, style: Style) -> String {
    match verdict {
        Verdict::NotChecked => style.quiet("not checked (no secret given)"),
        Verdict::Missing => style.bad("missing"),
        Verdict::Valid => style.good("valid"),
        Verdict::ValidAsPrevious => style.good("valid (as the previous secret's)"),
        Verdict::Invalid(mismatch) => style.bad(&format!("INVALID: {mismatch}")),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotChecked => "not_checked",
        Verdict::Missing => "missing",
        Verdict::Valid => "valid",
        Verdict::ValidAsPrevious => "valid_previous",
        Verdict::Invalid(_) => "invalid",
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::Utc;

    use super::*;
    use crate::cli::listen::receiver::Checks;

    #[test]
    fn headers_with_secrets_and_control_characters_are_not_printed() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = Received {
            number: 1,
            received_at: Utc::now(),
            method: "POST".to_owned(),
            path: "/\x1b[2J".to_owned(),
            headers: vec![
                pair("authorization", "hunter2"),
                pair("webhook-id", "msg\x1b[31m"),
            ],
            body: Some(Bytes::from_static(b"\x1b[2J")),
            checks: Checks {
                github: Verdict::Valid,
                standard: Verdict::Missing,
            },
            answered: 200,
        };
        let text = text(&request, Style::for_stdout());
        assert!(
            !text.contains("\x1b[2J") && !text.contains("\x1b[31mm"),
            "{text}"
        );
        assert!(
            !text.contains("hunter2") && text.contains("msg\\u{1b}"),
            "{text}"
        );
        let json = json(&request);
        assert!(json["headers"].get("authorization").is_none(), "{json}");
        assert_eq!(json["signatures"]["x-webhook-signature"], "valid");
        assert_eq!(json["signatures"]["webhook-signature"], "missing");
    }
}
