//! Bodies as people read them.

use serde::de::IgnoredAny;

use crate::cli::output::printable_lines;

/// A body nested deeper than this is shown as it came: its indentation would be longer than it.
const DEPTH_MAX: usize = 32;

/// A body for a terminal: JSON indented, with its own order of keys and its own numbers; anything
/// else as it is, with what is no UTF-8 replaced.
pub(super) fn pretty(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
    let indented = if is_json { indent(&text) } else { None };
    printable_lines(indented.as_deref().unwrap_or(&text))
}

/// Indents valid JSON by its punctuation, without reading it into values: those would reorder its
/// keys and round its numbers.
fn indent(json: &str) -> Option<String> {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut rest = json.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' => copy_string(&mut rest, &mut out),
            '{' | '[' => {
                out.push(character);
                while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                if let Some(end) = rest.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    break_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth -= 1;
                break_line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => out.push(other),
        }
        if depth > DEPTH_MAX {
            return None;
        }
    }
    Some(out)
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// Copies a string whose opening quote was read already.
fn copy_string(rest: &mut impl Iterator<Item = char>, out: &mut String) {
    out.push('"');
    let mut is_escaped = false;
    for character in rest.by_ref() {
        out.push(character);
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn json_is_indented_and_otherwise_left_alone() {
        let body = br#"{"z":1.10,"a":[ ],"s":"x,\"{\\","n":{"k":[1,{}]}}"#;
        assert_eq!(
            pretty(body),
            "{\n  \"z\": 1.10,\n  \"a\": [],\n  \"s\": \"x,\\\"{\\\\\",\n  \"n\": {\n    \
             \"k\": [\n      1,\n      {}\n    ]\n  }\n}"
        );
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_shown_as_it_came() {
        assert_eq!(pretty(b"a{b,\x1b[2J\xff"), "a{b,\\u{1b}[2J\u{fffd}");
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        assert_eq!(pretty(deep.as_bytes()), deep);
    }

    proptest! {
        #[test]
        fn indenting_does_not_change_what_it_says(text in r#"[ \[\]{},:"\\a-c0-9]{0,60}"#) {
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                let again: Value = serde_json::from_str(&pretty(text.as_bytes())).unwrap();
                prop_assert_eq!(again, value);
            }
        }

        #[test]
        fn every_value_survives(keys in prop::collection::vec(".{0,8}", 0..8), number in any::<f64>()) {
            let object: serde_json::Map<String, Value> = keys
                .into_iter()
                .map(|key| (key.clone(), serde_json::json!([key, number, {}])))
                .collect();
            let text = Value::Object(object).to_string();
            let indented = indent(&text).unwrap();
            // Both read from text: a number that was read may differ from the one that was written.
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            prop_assert_eq!(read(&indented), read(&text));
        }
    }
}
