//! Finds every path in a Rust source (`a::b::c`), also in `use` trees and macros. It works on
//! tokens, so comments and texts do not count.

use std::iter::Peekable;

use proc_macro2::{Delimiter, TokenStream, TokenTree, token_stream};

use super::File;

/// A path as it stands in a source, made absolute where it starts at the crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) line: usize,
    /// Its parts; `crate` first if it starts there.
    pub(super) parts: Vec<String>,
    /// Whether it is in a test.
    pub(super) is_test: bool,
}

impl Found {
    /// Whether it starts with these parts, written with `::`.
    pub(super) fn starts_with(&self, prefix: &str) -> bool {
        let mut parts = self.parts.iter();
        prefix
            .split("::")
            .all(|expected| parts.next().is_some_and(|part| part == expected))
    }

    pub(super) fn text(&self) -> String {
        self.parts.join("::")
    }
}

/// The tokens of a file.
pub(super) fn tokens(file: &File) -> TokenStream {
    file.text
        .parse()
        .unwrap_or_else(|error| panic!("{}: {error}", file.path))
}

/// All paths of more than one part, and what is imported as a whole.
pub(super) fn find(file: &File) -> Vec<Found> {
    let mut search = Search {
        module: module(&file.path),
        is_test: file.is_test(),
        found: Vec::new(),
    };
    search.walk(tokens(file), &[], false);
    search.found
}

/// The module that a file is: the parts below the crate.
fn module(path: &str) -> Vec<String> {
    let inside = path.split_once("src/").map_or(path, |(_, inside)| inside);
    let inside = inside.trim_end_matches(".rs");
    let mut parts: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if parts
        .last()
        .is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main"))
    {
        parts.pop();
    }
    parts
}

struct Search {
    /// The module in which the search is.
    module: Vec<String>,
    is_test: bool,
    found: Vec<Found>,
}

type Tokens = Peekable<token_stream::IntoIter>;

impl Search {
    /// Goes through tokens; those within the braces of a `use` tree go on from `prefix`.
    fn walk(&mut self, stream: TokenStream, prefix: &[String], is_use: bool) {
        let mut tokens: Tokens = stream.into_iter().peekable();
        let (mut is_import, mut is_test_next) = (is_use, false);
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(ident) if ident == "mod" => {
                    self.inner_module(&mut tokens, is_test_next);
                    is_test_next = false;
                }
                TokenTree::Ident(ident) if ident == "use" => is_import = true,
                // The new name is no path.
                TokenTree::Ident(ident) if ident == "as" && is_import => drop(tokens.next()),
                TokenTree::Ident(ident) => {
                    let line = ident.span().start().line;
                    self.path(ident.to_string(), line, &mut tokens, prefix, is_import);
                }
                TokenTree::Group(group) => {
                    let text = group.stream().to_string().replace(' ', "");
                    is_test_next |= group.delimiter() == Delimiter::Bracket && text == "cfg(test)";
                    self.walk(group.stream(), &[], false);
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => {
                    (is_import, is_test_next) = (is_use, false)
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    fn inner_module(&mut self, tokens: &mut Tokens, is_test: bool) {
        let Some(TokenTree::Ident(name)) = tokens.next() else {
            return;
        };
        let Some(TokenTree::Group(group)) = tokens.peek() else {
            return;
        };
        let stream = group.stream();
        tokens.next();
        let before = self.is_test;
        self.is_test |= is_test;
        self.module.push(name.to_string());
        self.walk(stream, &[], false);
        self.module.pop();
        self.is_test = before;
    }

    /// Follows a path from its first part.
    fn path(
        &mut self,
        first: String,
        line: usize,
        tokens: &mut Tokens,
        prefix: &[String],
        is_import: bool,
    ) {
        let mut parts = prefix.to_vec();
        parts.push(first);
        while is_separator(tokens) {
            match tokens.next() {
                Some(TokenTree::Ident(ident)) => parts.push(ident.to_string()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.walk(group.stream(), &parts, true);
                    return;
                }
                Some(TokenTree::Group(group)) => {
                    self.walk(group.stream(), &[], false);
                    return;
                }
                // A glob, or the brackets of a generic argument.
                _ => break,
            }
        }
        if parts.len() > 1 || is_import {
            self.push(parts, line);
        }
    }

    fn push(&mut self, parts: Vec<String>, line: usize) {
        self.found.push(Found {
            line,
            parts: absolute(&self.module, parts),
            is_test: self.is_test,
        });
    }
}

/// Takes `::` off the tokens if it is next.
fn is_separator(tokens: &mut Tokens) -> bool {
    let is_colon =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':');
    let mut ahead = tokens.clone();
    let is_there =
        ahead.next().as_ref().is_some_and(is_colon) && ahead.next().as_ref().is_some_and(is_colon);
    if is_there {
        tokens.next();
        tokens.next();
    }
    is_there
}

/// Replaces `self` and `super` at the start by the modules that they mean.
fn absolute(module: &[String], parts: Vec<String>) -> Vec<String> {
    let ups = parts.iter().take_while(|part| *part == "super").count();
    let starts_here = parts.first().is_some_and(|part| part == "self");
    if ups == 0 && !starts_here {
        return parts;
    }
    let kept = module.len().saturating_sub(ups);
    let rest = parts.into_iter().skip(ups.max(1));
    let above = std::iter::once("crate").chain(module[..kept].iter().map(String::as_str));
    above.map(str::to_owned).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(path: &str, source: &str) -> Vec<String> {
        find(&File::new(path, source))
            .iter()
            .map(Found::text)
            .collect()
    }

    #[test]
    fn paths_are_found_wherever_they_stand() {
        let source = "
            use std::fs;
            use crate::{store::{self, Views}, tenants as t, *};
            // use crate::in_a_comment;
            fn f(a: sqlx::Pool) -> Option<reqwest::Client> {
                let text = \"crate::in_a_text\";
                tokio::select! { _ = actix::spawn(crate::cli::run()) => {} }
                a::<x::Y>()
            }
        ";
        let expected = [
            "std::fs",
            "crate::store::self",
            "crate::store::Views",
            "crate::tenants",
            "sqlx::Pool",
            "reqwest::Client",
            "tokio::select",
            "actix::spawn",
            "crate::cli::run",
            "x::Y",
        ];
        let found = texts("src/http.rs", source);
        for path in expected {
            assert!(
                found.iter().any(|found| found == path),
                "{path} is not in {found:?}"
            );
        }
        let is_stranger =
            |path: &String| path.contains("in_a_") || path == "crate::as" || path == "crate::t";
        assert!(!found.iter().any(is_stranger), "{found:?}");
    }

    #[test]
    fn relative_paths_are_made_absolute() {
        let source =
            "use super::{super::tenants, x}; mod inner { use super::y::z; use super::super::w; }";
        assert_eq!(
            texts("src/store/sqlite/rows.rs", source),
            [
                "crate::store::tenants",
                "crate::store::sqlite::x",
                "crate::store::sqlite::rows::y::z",
                "crate::store::sqlite::w"
            ],
        );
        assert_eq!(
            texts("src/vault.rs", "use super::store::Error;"),
            ["crate::store::Error"]
        );
        assert_eq!(
            texts("src/outbound.rs", "use super::store::Error;"),
            ["crate::store::Error"]
        );
    }

    #[test]
    fn lines_and_tests_are_known() {
        let source = "\nuse a::b;\n#[cfg(test)]\nmod tests {\n    use c::d;\n}\nuse e::f;";
        let found = find(&File::new("src/x.rs", source));
        let seen: Vec<(usize, bool)> = found
            .iter()
            .map(|found| (found.line, found.is_test))
            .collect();
        assert_eq!(seen, [(2, false), (5, true), (7, false)]);
    }
}
