use regex_automata::{
    Input, MatchKind,
    dfa::{Automaton, StartKind, dense},
    nfa::thompson,
};

use super::Reason;

/// The most bytes that the tables of all patterns of one filter may have.
pub(super) const TABLES_BYTES_MAX: usize = 64 * 1024;
/// The most bytes that making a table may take.
const MAKING_BYTES_MAX: usize = 512 * 1024;

/// A regular expression as a table: each byte of a text costs one look-up, whatever the pattern and
/// the text are. There is no pattern that is slow, only some that are too large.
#[derive(Debug)]
pub(super) struct Pattern(Box<dense::DFA<Vec<u32>>>);

impl Pattern {
    /// Makes the table, which may have at most so many bytes.
    pub(super) fn parse(text: &str, bytes_max: usize) -> Result<Self, Reason> {
        let nfa = thompson::Compiler::new()
            .configure(
                thompson::Config::new()
                    .which_captures(thompson::WhichCaptures::None)
                    .nfa_size_limit(Some(MAKING_BYTES_MAX)),
            )
            .build(&with_ascii_classes(text))
            .map_err(|error| match error.size_limit() {
                Some(_) => Reason::PatternTooLarge,
                None => Reason::Pattern(why(&error)),
            })?;
        let table = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .match_kind(MatchKind::All)
                    .start_kind(StartKind::Unanchored)
                    .dfa_size_limit(Some(bytes_max))
                    .determinize_size_limit(Some(MAKING_BYTES_MAX)),
            )
            .build_from_nfa(&nfa)
            .map_err(|_| Reason::PatternTooLarge)?;
        Ok(Self(Box::new(table)))
    }

    /// How many bytes its table has.
    pub(super) fn bytes(&self) -> usize {
        self.0.memory_usage()
    }

    /// Whether it matches somewhere in the text.
    pub(super) fn is_match(&self, text: &str) -> bool {
        let input = Input::new(text).earliest(true);
        // It fails only with tables that were told to give up at some bytes; this one was not.
        matches!(self.0.try_search_fwd(&input), Ok(Some(_)))
    }
}

/// CEL's patterns are those of RE2, where these classes are ASCII. It keeps the tables small, too.
fn with_ascii_classes(pattern: &str) -> String {
    let mut made = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            made.push(character);
            continue;
        }
        match characters.next() {
            Some('d') => made.push_str("[0-9]"),
            Some('D') => made.push_str("[^0-9]"),
            Some('w') => made.push_str("[0-9A-Za-z_]"),
            Some('W') => made.push_str("[^0-9A-Za-z_]"),
            Some('s') => made.push_str("[\\t\\n\\f\\r\\x20]"),
            Some('S') => made.push_str("[^\\t\\n\\f\\r\\x20]"),
            Some('b') => made.push_str("(?-u:\\b)"),
            Some(other) => made.extend(['\\', other]),
            None => made.push('\\'),
        }
    }
    made
}

/// What is wrong with a pattern: the last line of a longer description with a drawing.
fn why(error: &thompson::BuildError) -> String {
    use std::error::Error;
    let text = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern, TABLES_BYTES_MAX)
            .unwrap_or_else(|error| panic!("{pattern}: {error}"))
            .is_match(text)
    }

    #[test]
    fn patterns_match_somewhere_unless_they_are_anchored() {
        for (pattern, text, expected) in [
            ("b", "abc", true),
            ("^b", "abc", false),
            ("^INC-[0-9]+$", "INC-42", true),
            ("^INC-[0-9]+$", "INC-42x", false),
            ("", "", true),
            ("^$", "a", false),
            ("(?i)urgent", "Very URGENT", true),
            ("a|bc", "xbc", true),
            ("^.{3}$", "äöü", true),
            ("[äö]", "ö", true),
            ("^https?://[^/]+/", "https://example.com/x", true),
            (r"^\d{3}\s\w+$", "123 a_b", true),
            (r"^[\d.]+$", "1.2.3", true),
            (r"^[^\d]+$", "abc", true),
            (r"^\D\W\S$", "a-b", true),
            (r"\bone\b", "the one", true),
            (r"\bone\b", "none", false),
            (r"^\\d$", r"\d", true),
            (r"\.", "a", false),
        ] {
            assert_eq!(is_match(pattern, text), expected, "{pattern} {text}");
        }
    }

    /// As with RE2. Unicode's classes can still be asked for.
    #[test]
    fn short_classes_are_ascii() {
        assert!(!is_match(r"^\d$", "٣"));
        assert!(!is_match(r"^\w$", "é"));
        assert!(is_match(r"^\p{Lu}", "É"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for (pattern, says) in [
            ("(", "unclosed group"),
            ("[", "unclosed character class"),
            ("a**", ""),
            (r"(a)\1", "backreferences are not supported"),
            ("a(?=b)", "look-around"),
            ("*", "repetition operator missing expression"),
            ("\\", "incomplete escape sequence"),
        ] {
            match Pattern::parse(pattern, TABLES_BYTES_MAX) {
                Err(Reason::Pattern(why)) => assert!(why.contains(says), "{pattern}: {why}"),
                Ok(_) => assert!(says.is_empty(), "{pattern}"),
                Err(other) => panic!("{pattern}: {other}"),
            }
        }
    }

    #[test]
    fn patterns_with_large_tables_are_refused() {
        for pattern in [
            "(a{1000}){1000}",
            "((((a{10}){10}){10}){10}){10}",
            "(a|b)*a(a|b){14}",
            "a.{25}b",
            r"[\p{L}]{1000}",
        ] {
            let refused = Pattern::parse(pattern, TABLES_BYTES_MAX);
            assert_eq!(refused.err(), Some(Reason::PatternTooLarge), "{pattern}");
        }
    }
}
