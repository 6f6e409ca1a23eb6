//! What is wrong with a field of a request, and rules that several fields share.

/// One thing that is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's path: `name`, `events[2]`, `headers.X-Env`.
    pub field: String,
    /// A stable code in snake case.
    pub code: &'static str,
    /// One sentence for people that says what is allowed.
    pub message: String,
}

impl FieldError {
    /// Says that `field` is wrong.
    pub fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            code,
            message: message.into(),
        }
    }
}

/// Checks the length in characters, and that no control character is in it.
pub fn check_text(
    field: &str,
    text: &str,
    length: std::ops::RangeInclusive<usize>,
) -> Result<(), FieldError> {
    let characters = text.chars().count();
    if !length.contains(&characters) {
        return Err(FieldError::new(
            field,
            "invalid_length",
            format!(
                "must have {} to {} characters, has {characters}",
                length.start(),
                length.end()
            ),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(FieldError::new(
            field,
            "invalid_characters",
            "must not contain control characters",
        ));
    }
    Ok(())
}

/// Checks that a number lies in a range.
pub fn check_range(
    field: &str,
    number: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<(), FieldError> {
    if range.contains(&number) {
        return Ok(());
    }
    Err(FieldError::new(
        field,
        "out_of_range",
        format!("must be from {} to {}", range.start(), range.end()),
    ))
}
