use super::*;

mod hostile;
mod refused;
mod same_as_cel;

const TICKET: &str = r#"{
    "ticket": {"id": 4711, "title": "Disk é full", "priority": "high", "tags": ["disk", "prod"], "owner": null},
    "items": [{"sku": "A1", "price": 10, "n": 2}, {"sku": "B2", "price": 2.5, "n": 0}],
    "amount": 100, "ratio": 0.25, "big": 18446744073709551615, "min": -9223372036854775808,
    "at": "2026-03-24T23:11:25.500Z", "is_open": true, "odd-key": 1, "empty": {}
}"#;

fn of(text: &str, data: &str) -> Result<bool, Failure> {
    let filter = Filter::parse(text).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
    let data = Json::read(data).unwrap();
    let topic = "ticket.updated".parse().unwrap();
    filter.matches(&topic, &data, &mut Steps::default())
}

#[track_caller]
fn gives(expected: bool, texts: &[&str]) {
    for text in texts {
        assert_eq!(of(text, TICKET), Ok(expected), "{text}");
    }
}

#[test]
fn topics_and_fields_are_compared() {
    gives(
        true,
        &[
            "true",
            "event == 'ticket.updated'",
            "event.startsWith('ticket.')",
            "event in ['ticket.created', 'ticket.updated']",
            "data.ticket.priority == \"high\"",
            "data.ticket.priority != 'low'",
            "data['ticket']['priority'] == 'high'",
            "data.`odd-key` == 1",
            "data.ticket.owner == null",
            "data.ticket.id == 4711 && data.is_open",
            "data.is_open ? data.amount > 99 : data.amount > 1000",
            "'title' in data.ticket",
            "'disk' in data.ticket.tags",
            "data.ticket.tags[1] == 'prod'",
            "data.items[0.0].sku == 'A1'",
            ".data.amount == 100",
            "data.ticket.tags == ['disk', 'prod']",
            "data.empty == {}",
            "data.items[0] == {'n': 2u, 'price': 10.0, 'sku': 'A1'}",
        ],
    );
    gives(
        false,
        &[
            "false",
            "data.ticket.priority == 5",
            "data.ticket == data.items",
            "data.ticket.tags == ['disk']",
            "data.ticket.owner == false",
            "'x' in data.ticket",
            "1 in data.ticket",
            "'x' in data.ticket.tags",
            "data.empty == data.ticket",
        ],
    );
}

/// What the guide says is tried: its first block of JSON with every line of its block of CEL.
#[test]
fn the_guides_examples_match() {
    let guide = include_str!("../../../docs/guide/filters-and-topics.md");
    let block = |kind: &str| {
        let (_, rest) = guide.split_once(&format!("```{kind}\n")).unwrap();
        rest.split_once("```").unwrap().0
    };
    let data = Json::read(block("json")).unwrap();
    let topic = "ticket.created".parse().unwrap();
    let examples: Vec<&str> = block("cel").lines().collect();
    assert!(examples.len() > 15);
    for text in examples {
        let filter = Filter::parse(text).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
        let result = filter.matches(&topic, &data, &mut Steps::default());
        assert_eq!(result, Ok(true), "{text}");
    }
}

#[test]
fn numbers_of_all_types_are_compared_and_mixed() {
    gives(
        true,
        &[
            "data.amount == 100.0 && data.amount == 100u && data.amount > 99.5",
            "data.ratio < 1 && data.big > 0 && data.big == 18446744073709551615u",
            "data.min < data.big",
            "data.amount + 1 == 101 && data.amount - 1 == 99 && data.amount * 2 == 200",
            "data.amount / 8 == 12 && data.amount % 8 == 4 && -7 / 2 == -3 && -7 % 2 == -1",
            "data.amount * 1.5 == 150.0 && data.ratio * 4 == 1",
            "data.big - 1 == 18446744073709551614u",
            "data.min + data.big == 9223372036854775807",
            "-data.amount == -100 && -data.ratio == -0.25 && 7u / 2u == 3u",
            "1.0 / 0.0 > 1e308 && !(0.0 / 0.0 == 0.0 / 0.0) && !(0.0 / 0.0 < 1.0)",
            "0.0 / 0.0 != 0.0 / 0.0",
            "0x1f == 31 && 1e3 == 1000",
        ],
    );
}

#[test]
fn macros_go_through_lists_and_keys() {
    gives(
        true,
        &[
            "data.items.exists(i, i.sku == 'B2')",
            "data.items.all(i, i.price > 1)",
            "data.items.exists_one(i, i.n == 0) && data.items.existsOne(i, i.n == 2)",
            "data.items.filter(i, i.price > 5) == [data.items[0]]",
            "data.items.map(i, i.price) == [10, 2.5]",
            "data.items.map(i, i.n > 0, i.sku) == ['A1']",
            "data.ticket.exists(key, key == 'priority')",
            "data.items.all(i, data.items.exists(j, j.sku == i.sku))",
            "data.items.map(x, data.items.map(x, x.n)) == [[2, 0], [2, 0]]",
            "[].all(x, false) && ![].exists(x, true) && [1].exists(event, event == 1)",
            "[1].all(event, .event == 'ticket.updated')",
            "has(data.ticket) && has(data.ticket.owner) && !has(data.nothing)",
            "!has(data.nothing) || data.nothing.more == 1",
        ],
    );
}

#[test]
fn functions_are_those_of_cel() {
    gives(
        true,
        &[
            "size(data.items) == 2 && data.ticket.tags.size() == 2 && size(data.empty) == 0",
            "size(data.ticket.title) == 11 && 'é'.size() == 1",
            "data.ticket.title.contains('full') && data.ticket.title.endsWith('é full')",
            "data.ticket.title.matches('^Disk .+$') && matches(event, r'^\\w+\\.updated$')",
            "data.ticket.title.lowerAscii() == 'disk é full' && 'a'.upperAscii() == 'A'",
            "' a '.trim() == 'a' && 'a' + 'b' == 'ab' && [1] + [2] == [1, 2]",
            "int('42') == 42 && int(2.9) == 2 && int(-2.9) == -2 && int(7u) == 7",
            "uint(7) == 7u && uint('7') == 7u && double('1.5') == 1.5 && double(2) == 2.0",
            "string(1) == '1' && string(1.5) == '1.5' && string(true) == 'true' && string('a') == 'a'",
            "bool('true') && !bool('f') && bool(true)",
            "type(data.amount) == int && type(data.ratio) == double && type(data.ticket) == map",
            "type(null) == null_type && type(event) == string && type(1u) == uint && type([]) == list",
            "type(type(1)) == type && dyn(data.amount) == 100 && type(true) == bool",
        ],
    );
}

#[test]
fn times_can_be_told() {
    gives(
        true,
        &[
            "timestamp(data.at) > timestamp('2026-01-01T00:00:00Z')",
            "timestamp(data.at) - timestamp('2026-03-24T22:11:25Z') == duration('1h0.5s')",
            "timestamp(data.at) + duration('1m') < timestamp('2026-03-24T23:13:00Z')",
            "duration('1h') + duration('30m') == duration('90m') && duration('1h') > duration('59m')",
            "duration('1h') - duration('90m') == duration('-30m')",
            "timestamp(data.at).getFullYear() == 2026 && timestamp(data.at).getMonth() == 2",
            "timestamp(data.at).getDate() == 24 && timestamp(data.at).getDayOfMonth() == 23",
            "timestamp(data.at).getDayOfWeek() == 2 && timestamp(data.at).getDayOfYear() == 82",
            "timestamp(data.at).getHours() == 23 && timestamp(data.at).getMinutes() == 11",
            "timestamp(data.at).getSeconds() == 25 && timestamp(data.at).getMilliseconds() == 500",
            "duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90",
            "duration('1.5s').getSeconds() == 1 && duration('1.5s').getMilliseconds() == 500",
            "int(timestamp(data.at)) == 1774393885 && timestamp(1774393885) < timestamp(data.at)",
            "string(duration('90m')) == '5400s' && string(timestamp(0)) == '1970-01-01T00:00:00Z'",
            "timestamp(timestamp(0)) == timestamp(0) && duration(duration('1s')) == duration('1s')",
        ],
    );
}

/// What one side does not know does not matter if the other one decides.
#[test]
fn an_error_matters_only_if_it_decides() {
    gives(
        true,
        &[
            "data.nothing == 1 || true",
            "true || data.nothing == 1",
            "data.items.exists(i, i.nothing == 1 || i.sku == 'B2')",
            "[{}, {'a': 1}].exists(x, x.a == 1)",
        ],
    );
    gives(
        false,
        &[
            "data.nothing == 1 && false",
            "false && data.nothing == 1",
            "[{}, {'a': 1}].all(x, x.a == 2)",
        ],
    );
    for text in ["data.nothing == 1 || false", "true && data.nothing == 1"] {
        let failure = of(text, TICKET).unwrap_err();
        assert_eq!(failure, Failure::NoSuchKey("data.nothing".to_owned()));
    }
}

#[test]
fn failures_say_what_is_wrong() {
    for (text, says) in [
        (
            "data.ticket.severity == 1",
            "there is no data.ticket.severity",
        ),
        (
            "data.ticket['severity'] == 1",
            "there is no data.ticket[\"severity\"]",
        ),
        ("data.items.all(i, i.nothing)", "there is no i.nothing"),
        (
            "data.ticket.owner.name == 'x'",
            "data.ticket.owner is of type null_type and has no fields",
        ),
        ("has(event.x)", "event is of type string and has no fields"),
        (
            "data.items[2].n == 1",
            "the list has 2 elements, the index is 2",
        ),
        (
            "data.items[-1].n == 1",
            "the list has 2 elements, the index is -1",
        ),
        (
            "data.items['0'] == 1",
            "[ ] does not work with list and string",
        ),
        (
            "data.items[0.5] == 1",
            "[ ] does not work with list and double",
        ),
        (
            "data.ticket.title > 5",
            "> does not work with string and int",
        ),
        (
            "data.ticket.title + 5 == ''",
            "+ does not work with string and int",
        ),
        ("!data.amount", "! does not work with int"),
        ("-event == ''", "- does not work with string"),
        ("data.amount && true", "&& does not work with int"),
        ("false || data.amount", "|| does not work with int"),
        ("data.amount ? true : false", "? : does not work with int"),
        ("1 in event", "in does not work with int and string"),
        (
            "data.amount.exists(x, true)",
            "exists does not work with int",
        ),
        (
            "data.items.filter(x, x.n) == []",
            "filter does not work with int",
        ),
        (
            "data.amount.contains('1')",
            "contains does not work with int and string",
        ),
        ("size(data.amount) == 1", "size does not work with int"),
        ("data.amount.matches('1')", "matches does not work with int"),
        ("data.amount / 0 == 1", "division by zero"),
        ("data.amount % 0 == 1", "remainder by zero"),
        ("1.5 % 1.0 == 0.5", "% does not work with double and double"),
        (
            "9223372036854775807 + 1 > 0",
            "the result of + is out of range",
        ),
        ("-data.min > 0", "the result of - is out of range"),
        ("data.min / -1 > 0", "the result of / is out of range"),
        ("data.big * data.big > 0", "the result of * is out of range"),
        ("1u - 2u == 0", "the result of - is out of range"),
        ("int('x') == 1", "int cannot read \"x\""),
        ("int(1e30) == 1", "the result of int is out of range"),
        ("uint(-1) == 1u", "the result of uint is out of range"),
        (
            "timestamp('yesterday') > timestamp(0)",
            "timestamp cannot read \"yesterday\"",
        ),
        (
            "duration('1 day') > duration('1s')",
            "duration cannot read \"1 day\"",
        ),
        ("int(data.ticket) == 1", "int does not work with map"),
        (
            "{'a': 1, 'a': 2} == {}",
            "a map has unique keys that are strings, whole numbers or bools",
        ),
        (
            "{1.5: 1} == {}",
            "a map has unique keys that are strings, whole numbers or bools",
        ),
        (
            "data.ticket",
            "gives a value of type map, not true or false",
        ),
        ("1 + 1", "gives a value of type int, not true or false"),
        ("event", "gives a value of type string, not true or false"),
        ("null", "gives a value of type null_type, not true or false"),
    ] {
        assert_eq!(of(text, TICKET).unwrap_err().detail(), says, "{text}");
    }
}

/// The log is no place for the whole message.
#[test]
fn failures_quote_little_of_the_data() {
    let long = "x".repeat(100_000);
    let data = format!(r#"{{"long":"{long}"}}"#);
    for text in [
        "int(data.long) == 1".to_owned(),
        format!("data.{} == 1", "x".repeat(4000)),
    ] {
        let detail = of(&text, &data).unwrap_err().detail();
        assert!(detail.chars().count() <= 200, "{detail}");
        assert!(detail.contains('…'), "{detail}");
    }
}

#[test]
fn steps_are_those_of_the_message_too() {
    let filter = Filter::parse("data.items.exists(i, i.sku == 'B2')").unwrap();
    let data = Json::read(TICKET).unwrap();
    let topic = "ticket.updated".parse().unwrap();
    let mut steps = Steps::default();
    assert_eq!(filter.matches(&topic, &data, &mut steps), Ok(true));
    let taken = MESSAGE_STEPS_MAX - steps.left();
    assert!((5..100).contains(&taken), "{taken}");
    while steps.left() >= taken {
        assert_eq!(filter.matches(&topic, &data, &mut steps), Ok(true));
    }
    let failure = filter.matches(&topic, &data, &mut steps).unwrap_err();
    assert_eq!(failure, Failure::TooManySteps);
    assert_eq!(steps.left(), 0);
}
