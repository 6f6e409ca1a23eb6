//! `hookledger openapi`.

use super::{Error, output};
use crate::http;

/// Prints the document that the server answers `GET /openapi.json` with.
pub(super) fn run() -> Result<(), Error> {
    output::print(&http::document().to_pretty_json()?)
}
