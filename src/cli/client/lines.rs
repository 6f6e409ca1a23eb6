//! Answers that come line by line.

use std::{ops::ControlFlow, time::Duration};

use serde_json::Value;

use super::{ANSWER_BYTES_MAX, Client, Error};

/// How long such an answer may take.
const TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

impl Client {
    /// A POST whose answer comes as lines, each of them JSON. `on_line` hears them until it has heard what
    /// it waits for, which it gives.
    pub(in crate::cli) async fn post_until<T>(
        &self,
        path: &[&str],
        body: &Value,
        mut on_line: impl FnMut(Value) -> ControlFlow<T>,
    ) -> Result<T, Error> {
        let request = self.http.post(self.url(path, &[])).json(body);
        let mut answer = self.ask(request.timeout(TIMEOUT)).await?;
        let status = answer.status();
        if !status.is_success() {
            let bytes = self.read(answer).await?;
            return Err(self.refusal(status, &bytes));
        }
        let mut line = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(error))?
        {
            for part in chunk.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if line.len() > ANSWER_BYTES_MAX {
                    return Err(self.too_much("16 MiB"));
                }
                if line.ends_with(b"\n") {
                    let read = serde_json::from_slice(&line);
                    let heard = on_line(read.map_err(|_| self.unexpected(status))?);
                    if let ControlFlow::Break(last) = heard {
                        return Ok(last);
                    }
                    line.clear();
                }
            }
        }
        Err(Error::Cut {
            server: self.server(),
        })
    }
}
