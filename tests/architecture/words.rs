//! Words that are not used, and attributes that hide what they should say.

use super::{Broken, File};

/// Each word in two parts, so that this file does not hold it, and why it is not used.
const WORDS: &[((&str, &str), &str)] = &[
    (
        ("Webhook", "Event"),
        "a webhook is a registration and events are the ledger's: say webhook::Event or message",
    ),
    (("TO", "DO"), "finish it, or open an issue"),
    (("FIX", "ME"), "fix it, or open an issue"),
    (("XX", "X"), "fix it, or open an issue"),
    (("todo", "!("), "code that is not there does not ship"),
    (
        ("unimplemented", "!("),
        "code that is not there does not ship",
    ),
    (("dbg", "!("), "use tracing"),
    (("#[al", "low("), "use #[expect(…, reason = …)]"),
    (("#![al", "low("), "use #![expect(…, reason = …)]"),
];

pub(super) fn check(file: &File) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for ((start, end), why) in WORDS {
            let word = format!("{start}{end}");
            if is_in(line, &word) {
                broken.push(Broken {
                    path: file.path.clone(),
                    line: index + 1,
                    rule: format!("`{word}`: {why}"),
                });
            }
        }
    }
    broken
}

/// Whether the word stands there for itself, not as a part of a longer one.
fn is_in(line: &str, word: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let goes_on = word.ends_with(is_letter) && after.is_some_and(is_letter);
        before.is_none_or(|before| !is_letter(before)) && !goes_on
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_with_its_line() {
        for ((start, end), _) in WORDS {
            let text = format!("fine\nalso fine\nlet x = {start}{end} y);\n");
            let broken = check(&File::new("src/x.rs", &text));
            assert_eq!(
                broken.iter().map(|broken| broken.line).collect::<Vec<_>>(),
                [3],
                "{start}{end}"
            );
        }
    }

    #[test]
    fn a_part_of_a_longer_word_is_fine() {
        let text = concat!(
            "X-Webhook",
            "-Event and MyWebhook",
            "Events and MAS",
            "TODON"
        );
        assert_eq!(check(&File::new("src/x.rs", text)), []);
    }
}
