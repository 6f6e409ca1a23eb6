//! The parameters of a query string: each is known, given once and well formed, or the request is
//! refused. A filter that is misspelt must not silently show everything.

use std::{borrow::Cow, ops::RangeInclusive, str::FromStr};

use chrono::{DateTime, Utc};
use hookledger_projections::query::{LIMIT_DEFAULT, LIMIT_MAX, Page, Span, decode_cursor};

use super::{fields, problem::Problem};

/// The names of the parameters that every list takes.
pub(super) const PAGING: [&str; 2] = ["limit", "cursor"];

/// The parameters that were given.
#[derive(Debug)]
pub(super) struct Query<'r>(Vec<(Cow<'r, str>, Cow<'r, str>)>);

impl<'r> Query<'r> {
    /// Reads a query string in which only these names, each at most once, may stand.
    pub(super) fn parse(query: &'r str, known: &[&[&str]]) -> Result<Self, Problem> {
        let mut given: Vec<(Cow<'r, str>, Cow<'r, str>)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !known.iter().any(|names| names.contains(&name.as_ref())) {
                return Err(Problem::parameter(&name, "is not known here"));
            }
            if given.iter().any(|(other, _)| *other == name) {
                return Err(Problem::parameter(&name, "may be given once"));
            }
            given.push((name, value));
        }
        Ok(Self(given))
    }

    /// The text of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(given, _)| given == name)?;
        Some(value)
    }

    /// A parameter that `read` understands; `expected` completes "the parameter x …".
    pub(super) fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        match self.text(name) {
            None => Ok(None),
            Some(text) => match read(text) {
                Some(value) => Ok(Some(value)),
                None => Err(Problem::parameter(name, expected)),
            },
        }
    }

    /// A parameter with a spelling of its own, such as an id.
    pub(super) fn parsed<T: FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        self.read(name, expected, |text| text.parse().ok())
    }

    /// A whole number in this range.
    pub(super) fn whole<T: FromStr + PartialOrd>(
        &self,
        name: &str,
        expected: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, Problem> {
        self.read(name, expected, |text| {
            // Digits only: no sign.
            let is_digits = text.bytes().all(|b| b.is_ascii_digit());
            let number = text.parse().ok()?;
            (is_digits && range.contains(&number)).then_some(number)
        })
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.parsed(name, "must be true or false")
    }

    /// A time.
    pub(super) fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, Problem> {
        let expected = "must be an RFC 3339 time such as 2026-03-24T23:11:25Z";
        self.read(name, expected, fields::parse_time)
    }

    /// The stretch of time that `from` and `to` give.
    pub(super) fn span(&self) -> Result<Span, Problem> {
        Ok(Span {
            from: self.time("from")?,
            to: self.time("to")?,
        })
    }

    /// The page that `limit` and `cursor` give.
    pub(super) fn page<Id: FromStr>(&self) -> Result<Page<Id>, Problem> {
        let limit = self
            .whole(
                "limit",
                "must be a whole number from 1 to 200",
                1..=LIMIT_MAX,
            )?
            .unwrap_or(LIMIT_DEFAULT);
        let after = self
            .text("cursor")
            .map(decode_cursor)
            .transpose()
            .map_err(|error| {
                Problem::new(
                    actix_web::http::StatusCode::BAD_REQUEST,
                    "invalid_cursor",
                    error.to_string(),
                )
            })?;
        Ok(Page { limit, after })
    }
}

#[cfg(test)]
mod tests {
    use hookledger_domain::ids::{DeliveryId, MessageId};
    use hookledger_projections::query::encode_cursor;

    use super::*;

    fn query(text: &str) -> Result<Query<'_>, Problem> {
        Query::parse(text, &[&PAGING, &["from", "to", "is_active"]])
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused_by_name() {
        for bad in [
            "statuss=x",
            "limit=1&limit=2",
            "limit=1&LIMIT=2",
            "%00=1",
            "=",
        ] {
            let problem = query(bad).unwrap_err();
            assert_eq!(
                (problem.status.as_u16(), problem.code),
                (400, "invalid_parameter"),
                "{bad}"
            );
        }
        assert!(query("statuss=x").unwrap_err().detail.contains("statuss"));
        assert!(query("").is_ok());
    }

    #[test]
    fn a_page_has_1_to_200_rows() {
        let limit = |text: &str| {
            query(text)
                .unwrap()
                .page::<DeliveryId>()
                .map(|page| page.limit)
        };
        assert_eq!(limit(""), Ok(50));
        assert_eq!(limit("limit=1"), Ok(1));
        assert_eq!(limit("limit=200"), Ok(200));
        for bad in [
            "0",
            "201",
            "-1",
            "%2B5",
            "1.0",
            "",
            "x",
            "99999999999",
            "1%00",
            "%F0%9F",
        ] {
            let problem = limit(&format!("limit={bad}")).unwrap_err();
            assert_eq!(problem.code, "invalid_parameter", "{bad}");
        }
    }

    #[test]
    fn a_cursor_is_one_of_this_list() {
        let id = DeliveryId::default();
        let given = format!("cursor={}", encode_cursor(&id));
        assert_eq!(query(&given).unwrap().page().unwrap().after, Some(id));
        for bad in [
            String::new(),
            "x".to_owned(),
            encode_cursor(&MessageId::default()),
        ] {
            let given = format!("cursor={bad}");
            let problem = query(&given).unwrap().page::<DeliveryId>().unwrap_err();
            assert_eq!(
                (problem.status.as_u16(), problem.code),
                (400, "invalid_cursor"),
                "{bad}"
            );
        }
    }

    #[test]
    fn times_and_flags_are_read() {
        let span = query("from=2026-03-24T23:11:25%2B01:00")
            .unwrap()
            .span()
            .unwrap();
        assert_eq!(span.from.unwrap().to_rfc3339(), "2026-03-24T22:11:25+00:00");
        assert_eq!(span.to, None);
        assert_eq!(
            query("to=yesterday").unwrap().span().unwrap_err().code,
            "invalid_parameter"
        );
        assert_eq!(
            query("is_active=false").unwrap().boolean("is_active"),
            Ok(Some(false))
        );
        assert!(query("is_active=1").unwrap().boolean("is_active").is_err());
    }
}
