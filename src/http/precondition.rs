//! `ETag` and `If-Match` (RFC 9110, section 13.1.1) over the versions of webhooks.

use actix_web::http::header::{HeaderMap, IF_MATCH};
use hookledger_domain::ids::WebhookId;

use super::problem::Problem;
use crate::store::{self, Views};
use hookledger_domain::tenant::TenantId;

/// The entity tag of a version.
pub(super) fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// What `If-Match` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// Nothing, or that the thing exists, which is asked for anyway.
    None,
    /// One of these versions; weak tags and foreign ones match nothing and are left out.
    OneOf(Vec<u64>),
}

impl Precondition {
    /// Reads the header.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all(IF_MATCH).peekable();
        if values.peek().is_none() {
            return Ok(Self::None);
        }
        let mut versions = Vec::new();
        for value in values {
            let text = value.to_str().map_err(|_| malformed())?;
            if text.trim() == "*" {
                return Ok(Self::None);
            }
            parse_tags(text, &mut versions)?;
        }
        Ok(Self::OneOf(versions))
    }

    /// The version that a change may be made to. With several, the current one has to be asked
    /// for; the change itself still fails if another one comes between.
    pub(super) async fn expected(
        self,
        views: &Views,
        tenant: &TenantId,
        id: WebhookId,
    ) -> Result<Option<u64>, Problem> {
        let versions = match self {
            Self::None => return Ok(None),
            Self::OneOf(versions) => versions,
        };
        if let [version] = versions.as_slice() {
            return Ok(Some(*version));
        }
        let current = current_version(views, tenant, id).await?;
        match current {
            None => Err(Problem::not_found("webhook")),
            Some(version) if versions.contains(&version) => Ok(Some(version)),
            Some(_) => Err(Problem::precondition_failed()),
        }
    }
}

async fn current_version(
    views: &Views,
    tenant: &TenantId,
    id: WebhookId,
) -> Result<Option<u64>, store::Error> {
    let webhook = views.webhook(tenant, id).await?;
    Ok(webhook
        .filter(|webhook| !webhook.is_deleted)
        .map(|webhook| webhook.version))
}

fn parse_tags(mut text: &str, versions: &mut Vec<u64>) -> Result<(), Problem> {
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Ok(());
        }
        let (is_weak, rest) = match text.strip_prefix("W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (tag, rest) = rest
            .strip_prefix('"')
            .and_then(|rest| rest.split_once('"'))
            .ok_or_else(malformed)?;
        if !rest.trim_start().is_empty() && !rest.trim_start().starts_with(',') {
            return Err(malformed());
        }
        // One spelling only: "03" and "+3" are no tags that we gave out.
        versions.extend(
            tag.parse()
                .ok()
                .filter(|version: &u64| !is_weak && version.to_string() == tag),
        );
        text = rest;
    }
}

fn malformed() -> Problem {
    Problem::parameter(
        "If-Match",
        "must be * or a list of entity tags such as \"3\"",
    )
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn parse(values: &[&str]) -> Result<Precondition, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_MATCH, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Precondition::parse(&headers)
    }

    #[test]
    fn tags_are_read() {
        let one_of = |versions: &[u64]| Ok(Precondition::OneOf(versions.to_vec()));
        assert_eq!(parse(&[]), Ok(Precondition::None));
        assert_eq!(parse(&["*"]), Ok(Precondition::None));
        assert_eq!(parse(&["\"3\""]), one_of(&[3]));
        assert_eq!(parse(&["\"3\", \"5\" ,\"7\""]), one_of(&[3, 5, 7]));
        assert_eq!(parse(&["\"3\"", "\"5\""]), one_of(&[3, 5]));
        assert_eq!(parse(&["W/\"3\""]), one_of(&[]));
        assert_eq!(parse(&["\"03\", \"+3\", \"abc\", \"\""]), one_of(&[]));
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "3",
            "\"3",
            "\"3\"x",
            "\"3\" \"4\"",
            "w/\"3\"",
            "*, \"3\"",
            "\u{e9}",
        ] {
            assert_eq!(
                parse(&[bad]).unwrap_err().code,
                "invalid_parameter",
                "{bad}"
            );
        }
    }
}
