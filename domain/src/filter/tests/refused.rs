use super::*;

fn refusal(text: &str) -> Refusal {
    Filter::parse(text)
        .err()
        .unwrap_or_else(|| panic!("{text} is taken"))
}

fn at(line: usize, column: usize) -> Option<Place> {
    Some(Place { line, column })
}

#[test]
fn what_is_no_expression_is_refused_with_its_place() {
    for (text, place) in [
        ("data.", at(1, 6)),
        ("data.x = 5", at(1, 8)),
        ("data.x ==", at(1, 10)),
        ("(data.x", at(1, 8)),
        ("data.x == 'a", at(1, 11)),
        ("é == 1", at(1, 1)),
        ("data.x ==\n  == 1", at(2, 3)),
        ("data x", at(1, 6)),
        ("data.x == 99999999999999999999", at(1, 11)),
        ("data.?x == 1", at(1, 5)),
        ("import", at(1, 1)),
        ("'\\q' == event", at(1, 1)),
    ] {
        let refusal = refusal(text);
        assert!(
            matches!(refusal.reason, Reason::Syntax(_)),
            "{text}: {refusal}"
        );
        assert_eq!(refusal.place, place, "{text}: {refusal}");
        assert!(
            refusal.to_string().contains("is no CEL expression: "),
            "{refusal}"
        );
    }
    for text in ["", " ", "\n\t"] {
        assert_eq!(refusal(text).reason, Reason::Empty);
    }
}

#[test]
fn names_that_do_not_exist_are_refused_with_those_that_do() {
    let unknown = |name: &str| Reason::UnknownVariable(name.to_owned());
    for (text, reason, place) in [
        ("priority == 'high'", unknown("priority"), at(1, 1)),
        ("event == topic", unknown("topic"), at(1, 10)),
        ("data.items.exists(i, j.x == 1)", unknown("j"), at(1, 22)),
        ("data.items.exists(i, true) && i", unknown("i"), at(1, 31)),
        ("'ü' == x", unknown("x"), at(1, 8)),
        ("true &&\n  x.y", unknown("x"), at(2, 3)),
        ("[1].exists(x, .x == 1)", unknown("x"), at(1, 16)),
    ] {
        let refusal = refusal(text);
        assert_eq!((&refusal.reason, refusal.place), (&reason, place), "{text}");
        let says = refusal.to_string();
        assert!(
            says.contains("event (the topic, a string) and data"),
            "{says}"
        );
    }
    for (text, name) in [
        ("lower(event) == 'x'", "lower"),
        ("event.split('.')[0] == 'x'", "split"),
        ("data.f()", "f"),
        ("now() > 1", "now"),
        ("math.abs(1) == 1", "abs"),
    ] {
        let refusal = refusal(text);
        assert_eq!(refusal.reason, Reason::UnknownFunction(name.to_owned()));
        let says = refusal.to_string();
        assert!(says.contains("there are has, all, exists, "), "{says}");
        assert!(says.contains("size, contains, startsWith, "), "{says}");
    }
}

#[test]
fn calls_that_do_not_fit_are_refused_with_an_example() {
    for (text, usage) in [
        ("contains(event, 'x')", "data.title.contains(\"error\")"),
        ("event.contains()", "data.title.contains(\"error\")"),
        ("size() == 1", "size(data.items)"),
        ("event.int() == 1", "int(data.amount)"),
        ("has(data)", "has(data.ticket)"),
        ("has(data['x'])", "has(data.ticket)"),
        ("data.has(x)", "has(data.ticket)"),
        (
            "data.items.exists(true)",
            "data.items.exists(x, x.sku == \"A1\")",
        ),
        ("exists(x, true)", "data.items.exists(x, x.sku == \"A1\")"),
        (
            "data.items.map(x, y, z, 1) == []",
            "data.items.map(x, x.price)",
        ),
        ("event.matches()", "data.title.matches(\"^INC-[0-9]+$\")"),
    ] {
        let says = refusal(text).to_string();
        assert!(says.contains(" is called so: "), "{text}: {says}");
        assert!(says.contains(usage), "{text}: {says}");
    }
    for text in [
        "data.items.exists(1, true)",
        "data.items.all(x.y, true)",
        "[1].all(.x, true)",
    ] {
        assert_eq!(refusal(text).reason, Reason::NoName, "{text}");
    }
}

#[test]
fn what_messages_never_have_is_refused() {
    for text in ["b'x' == event", "Message{a: 1} == data"] {
        assert!(
            matches!(refusal(text).reason, Reason::NotInJson(_)),
            "{text}"
        );
    }
    for text in ["event.matches(event)", "event.matches('a' + 'b')"] {
        assert_eq!(refusal(text).reason, Reason::PatternNotLiteral);
    }
    let says = refusal("event.matches('(')").to_string();
    assert_eq!(
        says,
        "line 1, column 15: the pattern is no regular expression (RE2, without back-references and look-around): unclosed group"
    );
}

#[test]
fn size_depth_and_patterns_are_bounded() {
    let longest = format!("event == '{}'", "x".repeat(TEXT_BYTES_MAX - 11));
    assert!(Filter::parse(&longest).is_ok());
    let longer = format!("{longest} ");
    assert_eq!(refusal(&longer).reason, Reason::TooLong(TEXT_BYTES_MAX + 1));

    // Each of them has a sensible size.
    let ors = vec!["event == 'ticket.created'"; 140].join(" || ");
    assert!(Filter::parse(&ors).is_ok());
    let nested = |n: usize| format!("{}true{}", "(".repeat(n), ")".repeat(n));
    assert!(Filter::parse(&nested(DEPTH_MAX - 1)).is_ok());
    for text in [
        nested(DEPTH_MAX + 1),
        nested(2000),
        "(".repeat(4000),
        "[".repeat(4000),
        "{".repeat(4000),
        "-(".repeat(2000),
        vec!["1"; 60].join("+"),
        vec!["1"; 2000].join("+"),
        vec!["1"; 1300].join("=="),
        format!("data{}", ".a".repeat(2000)),
        format!("data{}", "[0]".repeat(1300)),
        "true?1:".repeat(500) + "1",
        "[1].all(x,".repeat(60) + "true" + &")".repeat(60),
    ] {
        let reason = refusal(&text).reason;
        assert!(
            matches!(reason, Reason::TooDeep | Reason::TooMany(_)),
            "{text}: {reason}"
        );
    }
    let one = r#"event.matches("^\\p{Lu}")"#;
    assert!(Filter::parse(one).is_ok());
    let many = [one; 3].join("||");
    assert_eq!(refusal(&many).reason, Reason::PatternTooLarge);
}

/// The threads of a server have less room than that of a test.
#[test]
fn the_deepest_texts_need_little_stack() {
    let texts = [
        vec!["1"; 300].join("+"),
        vec!["1"; 300].join("=="),
        vec!["[1]"; 150].join("in"),
        format!("data{}", "[0]".repeat(300)),
        format!("data{}", ".a".repeat(300)),
        format!("data{}", ".a()".repeat(150)),
        "!(".repeat(150),
        "a?b:".repeat(300),
        "[".repeat(300),
        "{".repeat(300),
        "(".repeat(49) + "true" + &")".repeat(49),
        "[1].all(x,".repeat(24) + "true" + &")".repeat(24),
        vec!["1"; 48].join("+") + " == 48",
    ];
    let small = std::thread::Builder::new().stack_size(1024 * 1024);
    let evaluated = move || {
        let evaluate = |text: &String| Filter::parse(text).map(|_| of(text, TICKET)).is_ok();
        texts.iter().filter(|text| evaluate(text)).count()
    };
    assert_eq!(small.spawn(evaluated).unwrap().join().unwrap(), 3);
}
