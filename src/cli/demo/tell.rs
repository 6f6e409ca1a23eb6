//! How the demo tells what happens.

use std::cell::Cell;

use hookledger_domain::clock::rfc3339;
use serde_json::Value;

use crate::cli::{
    Error,
    listen::{receiver::Received, show},
    output::{self, Style, printable},
};

/// Prints the steps of the story, numbered.
pub(super) struct Teller {
    style: Style,
    steps: Cell<u32>,
}

impl Teller {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            steps: Cell::new(0),
        }
    }

    /// What is done next.
    pub(super) fn step(&self, title: &str) -> Result<(), Error> {
        let step = self.steps.get() + 1;
        self.steps.set(step);
        output::print(&format!(
            "\n{}",
            self.style.strong(&format!("{step}. {title}"))
        ))
    }

    /// Something about it.
    pub(super) fn say(&self, text: &str) -> Result<(), Error> {
        output::print(&format!("   {text}"))
    }

    /// That it went well.
    pub(super) fn good(&self, text: &str) -> Result<(), Error> {
        self.say(&self.style.good(text))
    }

    /// A request of the API, as a client sends it.
    pub(super) fn api_request(&self, line: &str, body: &Value) -> Result<(), Error> {
        self.say(&format!("{} {body}", self.style.quiet(line)))
    }

    /// A webhook request as it arrived: every header, the body, and what the receiver's own check
    /// of both signatures gave.
    pub(super) fn arrived(&self, request: &Received) -> Result<(), Error> {
        let Received { method, path, .. } = request;
        let mut lines = vec![format!(
            "{} {} HTTP/1.1",
            printable(method),
            printable(path)
        )];
        let headers = request.headers.iter();
        lines.extend(headers.map(|(name, value)| show::header(name, value, self.style)));
        for line in &lines {
            output::print(&format!("   | {line}"))?;
        }
        for line in show::body(request).lines() {
            output::print(&format!("   | {}", line.strip_prefix("  ").unwrap_or(line)))?;
        }
        self.say("The receiver checks it with the secret:")?;
        for line in show::checks(request, self.style).lines() {
            self.say(line)?;
        }
        Ok(())
    }

    /// An attempt as the receiver saw it.
    pub(super) fn attempt(&self, request: &Received, number: &str) -> Result<(), Error> {
        let status = request.answered.to_string();
        let status = match request.answered {
            200..300 => self.style.good(&status),
            _ => self.style.bad(&status),
        };
        let time = rfc3339(request.received_at);
        self.say(&format!(
            "{time}  attempt {}  answered {status}",
            printable(number)
        ))
    }
}
