//! A text that must not be shown.

use std::fmt;

/// A text that never shows itself: `Debug` prints a placeholder and there is no `Display`, so a
/// secret reaches a log or a terminal only where someone writes [`SecretText::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_text() {
        let shown = format!("{:?}", SecretText::from("hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
