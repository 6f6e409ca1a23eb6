//! Files and functions that fit: one thing each, read without scrolling far.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{Broken, File, paths};

/// The longest source file, its tests not counted.
const FILE_LINES_MAX: usize = 400;
/// The longest function, from its name to its last brace.
const FUNCTION_LINES_MAX: usize = 70;
/// The longest one of a test: a table of cases is long and read in one go.
const TEST_LINES_MAX: usize = 120;

pub(super) fn check(file: &File) -> Vec<Broken> {
    let mut broken = Vec::new();
    let tokens = paths::tokens(file);
    let lines = file.text.lines().count();
    let counted = lines - test_lines(tokens.clone());
    if !file.is_test() && counted > FILE_LINES_MAX {
        broken.push(Broken {
            path: file.path.clone(),
            line: lines,
            rule: format!("the file has {counted} lines, at most {FILE_LINES_MAX} are allowed; split it by what it does"),
        });
    }
    let max = if file.is_test() {
        TEST_LINES_MAX
    } else {
        FUNCTION_LINES_MAX
    };
    functions(tokens, &mut |name, line, lines| {
        if lines > max {
            broken.push(Broken {
                path: file.path.clone(),
                line,
                rule: format!("`{name}` has {lines} lines, at most {max} are allowed"),
            });
        }
    });
    broken
}

/// Calls `see` with name, line and length of every function.
fn functions(stream: TokenStream, see: &mut impl FnMut(&str, usize, usize)) {
    let mut tokens = stream.into_iter().peekable();
    // The name and line of a function whose body is still to come.
    let mut open: Option<(String, usize)> = None;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "fn" => {
                if let Some(TokenTree::Ident(name)) = tokens.peek() {
                    open = Some((name.to_string(), ident.span().start().line));
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => open = None,
            TokenTree::Group(group) => {
                if group.delimiter() == Delimiter::Brace
                    && let Some((name, line)) = open.take()
                {
                    see(&name, line, group.span_close().end().line - line + 1);
                }
                functions(group.stream(), see);
            }
            _ => {}
        }
    }
}

/// How many lines the modules take that are compiled for tests only.
fn test_lines(stream: TokenStream) -> usize {
    let (mut lines, mut start) = (0, None);
    for token in stream {
        match token {
            TokenTree::Group(group)
                if group.stream().to_string().replace(' ', "") == "cfg(test)" =>
            {
                start = Some(group.span_open().start().line);
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                if let Some(start) = start.take() {
                    lines += group.span_close().end().line - start + 1;
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => start = None,
            _ => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!(
            "impl X {{\n    fn long() {{\n{}    }}\n}}\n",
            "        let a = 1;\n".repeat(lines - 2)
        )
    }

    #[test]
    fn a_function_that_is_too_long_is_named() {
        assert_eq!(check(&File::new("src/x.rs", &function(70))), []);
        let broken = check(&File::new("src/x.rs", &function(71)));
        assert_eq!(broken.len(), 1);
        assert_eq!(
            broken[0].to_string(),
            "src/x.rs:2: `long` has 71 lines, at most 70 are allowed"
        );
        assert_eq!(check(&File::new("tests/x.rs", &function(120))), []);
        let broken = check(&File::new("tests/x.rs", &function(121)));
        assert_eq!(broken.len(), 1, "a test's too");
    }

    #[test]
    fn a_file_that_is_too_long_is_named_and_tests_do_not_count() {
        let long = "const A: u8 = 1;\n".repeat(401);
        assert_eq!(check(&File::new("src/x.rs", &long)).len(), 1);
        assert_eq!(check(&File::new("src/x/tests.rs", &long)), []);
        let with_tests = format!("const A: u8 = 1;\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert_eq!(check(&File::new("src/x.rs", &with_tests)), []);
    }
}
