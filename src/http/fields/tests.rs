use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq)]
struct Sample {
    name: String,
    count: Option<u64>,
    note: Option<Option<String>>,
    data: Option<String>,
    events: Option<Vec<String>>,
}

impl Body for Sample {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let name = fields.required("name", text);
        let count = fields.optional("count", integer::<0, 9>);
        let note = fields.nullable("note", text);
        let data = fields
            .optional("data", object)
            .map(|raw| raw.get().to_owned());
        let events = fields.optional("events", texts::<3>);
        Some(Self {
            name: name?,
            count,
            note,
            data,
            events,
        })
    }
}

fn codes(body: &str) -> Vec<(String, &'static str)> {
    match read::<Sample>(body.as_bytes()) {
        Ok(sample) => panic!("{sample:?}"),
        Err(problem) => {
            assert_eq!(problem.status, 422, "{problem:?}");
            problem
                .errors
                .into_iter()
                .map(|error| (error.field, error.code))
                .collect()
        }
    }
}

fn code(body: &str) -> (String, &'static str) {
    codes(body).remove(0)
}

#[test]
fn fields_are_read() {
    let sample = read::<Sample>(br#" {"name":"a\u00e9","count":3,"note":null,"events":["x"]} "#);
    assert_eq!(
        sample,
        Ok(Sample {
            name: "aé".to_owned(),
            count: Some(3),
            note: Some(None),
            data: None,
            events: Some(vec!["x".to_owned()]),
        })
    );
}

#[test]
fn a_whole_number_may_be_written_in_several_ways() {
    for (text, expected) in [
        ("0", 0),
        ("5.0", 5),
        ("5e1", 50),
        ("18446744073709551615", u64::MAX),
    ] {
        let sample = read::<Sample>(format!(r#"{{"name":"a","count":{text}}}"#).as_bytes());
        assert_eq!(sample.unwrap().count, Some(expected), "{text}");
    }
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    assert_eq!(
        codes(r#"{"count":"3","note":1,"data":[],"events":["a",5,null],"zz":1}"#),
        [
            ("name".to_owned(), "missing_field"),
            ("count".to_owned(), "invalid_type"),
            ("note".to_owned(), "invalid_type"),
            ("data".to_owned(), "invalid_type"),
            ("events[1]".to_owned(), "invalid_type"),
            ("events[2]".to_owned(), "invalid_type"),
            ("zz".to_owned(), "unknown_field"),
        ]
    );
}

#[test]
fn wrong_values_are_422() {
    for (body, field, expected) in [
        ("[]", "", "invalid_type"),
        ("null", "", "invalid_type"),
        ("7", "", "invalid_type"),
        (r#"{"name":null}"#, "name", "invalid_type"),
        (r#"{"name":"a","name":"b"}"#, "name", "duplicate_field"),
        (r#"{"name":"\ud800"}"#, "name", "invalid_characters"),
        (r#"{"name":"a","count":-1}"#, "count", "out_of_range"),
        (
            r#"{"name":"a","count":99999999999999999999}"#,
            "count",
            "out_of_range",
        ),
        (r#"{"name":"a","count":1.5}"#, "count", "invalid_type"),
        (r#"{"name":"a","count":-1.0}"#, "count", "out_of_range"),
        (r#"{"name":"a","count":1e300}"#, "count", "out_of_range"),
        (r#"{"name":"a","count":1e999}"#, "count", "out_of_range"),
        (r#"{"name":"a","count":"3"}"#, "count", "invalid_type"),
        (r#"{"name":"a","count":null}"#, "count", "invalid_type"),
        (r#"{"name":"a","data":null}"#, "data", "invalid_type"),
        (r#"{"name":"a","events":{}}"#, "events", "invalid_type"),
        (
            r#"{"name":"a","events":["","","",""]}"#,
            "events",
            "invalid_length",
        ),
    ] {
        assert_eq!(code(body), (field.to_owned(), expected), "{body}");
    }
}

#[test]
fn what_is_no_json_is_400() {
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"{\"name\":}",
        b"[1,",
        b"\xff",
        b"{\"name\":\"\xff\"}",
        b"{\"a\":\"\0\"}",
        b"{} {}",
        b"nul",
    ];
    for body in bodies {
        let problem = read::<Sample>(body).unwrap_err();
        assert_eq!(
            (problem.status.as_u16(), problem.code),
            (400, "malformed_json"),
            "{body:?}"
        );
    }
}

#[test]
fn data_keeps_its_text() {
    let data = r#"{"z":1.10,"a":1e400, "é":"\u0000","z":[10000000000000000000001]}"#;
    let sample = read::<Sample>(format!(r#"{{"name":"a","data": {data} }}"#).as_bytes());
    assert_eq!(sample.unwrap().data.as_deref(), Some(data));
}

#[test]
fn deep_nesting_is_refused_without_recursion() {
    let nested = |depth: usize| {
        format!(
            r#"{{"name":"a","data":{}{}}}"#,
            r#"{"a":"#.repeat(depth - 1) + "{",
            "}".repeat(depth)
        )
    };
    assert!(read::<Sample>(nested(readers::DEPTH_MAX).as_bytes()).is_ok());
    assert_eq!(
        code(&nested(readers::DEPTH_MAX + 1)),
        ("data".to_owned(), "too_deep")
    );
    assert_eq!(code(&nested(100_000)), ("data".to_owned(), "too_deep"));
    assert!(read::<Sample>(br#"{"name":"a","data":{"a":"[[[\"{{{"}}"#).is_ok());
    let problem = read::<Sample>("[".repeat(200_000).as_bytes()).unwrap_err();
    assert_eq!(problem.code, "malformed_json");
}

#[test]
fn an_answer_names_a_bounded_number_of_errors() {
    let fields: Vec<String> = (0..10_000).map(|n| format!(r#""f{n}":0"#)).collect();
    let errors = codes(&format!("{{{}}}", fields.join(",")));
    assert_eq!(errors.len(), ERRORS_MAX);
}

#[test]
fn times_are_cut_to_milliseconds_in_utc() {
    let shown = |text: &str| readers::parse_time(text).map(hookledger_domain::clock::rfc3339);
    for (text, expected) in [
        ("2026-03-24T23:11:25Z", Some("2026-03-24T23:11:25.000Z")),
        (
            "2026-03-25T00:11:25.0009+01:00",
            Some("2026-03-24T23:11:25.000Z"),
        ),
        ("2026-03-24t23:11:25z", Some("2026-03-24T23:11:25.000Z")),
        ("2016-12-31T23:59:60Z", Some("2017-01-01T00:00:00.000Z")),
        (
            "1969-12-31T23:59:59.9999Z",
            Some("1969-12-31T23:59:59.999Z"),
        ),
        ("0000-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("2026-03-24", None),
        ("2026-03-24T23:11:25", None),
        ("1774393885", None),
        ("", None),
    ] {
        assert_eq!(shown(text).as_deref(), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read::<Sample>(&bytes);
    }
}
