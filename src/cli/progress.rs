//! A bar on stderr, if that is a terminal.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// Shows how far something has come, how quick it is and how long it will take; a new bar for each stage.
pub(super) struct Bar {
    now: Mutex<Option<Stage>>,
}

struct Stage {
    name: &'static str,
    /// Where it began: what was done before is no measure of how quick this one is.
    start: u64,
    bar: ProgressBar,
}

impl Bar {
    pub(super) fn new() -> Self {
        Self {
            now: Mutex::new(None),
        }
    }

    /// `name` is what is being done, of which so much is done.
    pub(super) fn show(&self, name: &'static str, done: u64, total: u64) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let stage = match &*now {
            Some(stage) if stage.name == name => stage,
            _ => &*now.insert(Stage {
                name,
                start: done,
                bar: bar(name, total.saturating_sub(done)),
            }),
        };
        stage.bar.set_length(total.saturating_sub(stage.start));
        stage.bar.set_position(done.saturating_sub(stage.start));
    }

    pub(super) fn clear(&self) {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stage) = &*now {
            stage.bar.finish_and_clear();
        }
    }
}

fn bar(name: &'static str, total: u64) -> ProgressBar {
    let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
        // The bar goes on without it, if it cannot be written.
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    let template = "{prefix} {wide_bar} {percent:>3}% of {len}, {rate}, {eta} left";
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total)
        .with_style(style.with_key("rate", rate))
        .with_prefix(name)
}
