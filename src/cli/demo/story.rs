//! What happens in the demo, in order.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Error, api, tell::Teller};
use crate::{
    cli::{
        Error as CliError,
        client::Client,
        listen::receiver::{Failures, Options, Received, Receiver},
        output,
    },
    server::Server,
};

/// Tells the whole story; fails at the first thing that does not happen.
pub(super) async fn play(server: &Server, teller: &Teller) -> Result<(), CliError> {
    teller.say(&format!("http://{}, loopback only", server.address()))?;
    let client = api::create_tenant(server).await?;
    teller.say("with a tenant \"demo\" and a token for it")?;
    let mut receiver = start_receiver(Failures {
        statuses: &[],
        count: 0,
    })
    .await?;
    let result = deliver(&client, teller, &mut receiver).await;
    receiver.stop().await;
    result?;

    let failures = Failures {
        statuses: &[500, 503],
        count: 2,
    };
    let mut receiver = start_receiver(failures).await?;
    let result = retry(&client, teller, &mut receiver).await;
    receiver.stop().await;
    result?;

    show_log(&client, teller).await
}

/// A signed request arrives.
async fn deliver(
    client: &Client,
    teller: &Teller,
    receiver: &mut Receiver,
) -> Result<(), CliError> {
    teller.step(&format!(
        "Register a webhook to a receiver on {}",
        receiver.url()
    ))?;
    let body =
        json!({"name": "good receiver", "url": receiver.url(), "events": ["ticket.updated"]});
    let webhook = api::register(client, teller, &body).await?;
    receiver.trust(webhook.secret);

    teller.step("Publish a message")?;
    let data = json!({"id": 42, "status": "open", "subject": "Printer on fire"});
    let message = json!({"event": "ticket.updated", "data": data});
    let message_id = api::publish(client, teller, &message).await?;

    teller.step("The signed request arrives")?;
    let request = next(receiver, "the request's arrival").await?;
    teller.arrived(&request)?;
    check(&request, &message_id, 200)?;
    api::wait_for_success(client, &message_id, 1).await?;
    teller.good(&format!("Delivered to {} and recorded", webhook.id))
}

/// A receiver fails twice, and gets the message all the same.
async fn retry(client: &Client, teller: &Teller, receiver: &mut Receiver) -> Result<(), CliError> {
    teller.step("A second receiver fails twice, with 500 and 503")?;
    let body = json!({"name": "bad receiver", "url": receiver.url(), "events": ["ticket.created"]});
    let webhook = api::register(client, teller, &body).await?;
    receiver.trust(webhook.secret);
    let message = json!({"event": "ticket.created", "data": {"id": 43, "status": "new"}});
    let message_id = api::publish(client, teller, &message).await?;

    let mut former: Option<Received> = None;
    for (attempt, status) in [("1", 500), ("2", 503), ("3", 200)] {
        let request = next(receiver, "the next attempt").await?;
        let number = header(&request, "x-webhook-attempt");
        teller.attempt(&request, number)?;
        check(&request, &message_id, status)?;
        let is_next = number == attempt;
        if !is_next || former.is_some_and(|former| former.body != request.body) {
            return Err(Error::DidNotHappen("sending the same bytes again").into());
        }
        former = Some(request);
    }
    api::wait_for_success(client, &message_id, 3).await?;
    teller.good("The third attempt succeeded, after waits of 1 s: same message id, same bytes")
}

async fn show_log(client: &Client, teller: &Teller) -> Result<(), CliError> {
    teller.step("The log, as GET /api/admin/logs shows it")?;
    let attempts = api::log(client).await?;
    let columns = [
        ("STARTED", "started_at"),
        ("EVENT", "event"),
        ("ATTEMPT", "attempt"),
        ("TRIGGER", "trigger"),
        ("OUTCOME", "outcome"),
        ("STATUS", "response_status"),
        ("MS", "duration_ms"),
    ];
    for line in output::table(&columns, &attempts).lines() {
        teller.say(line)?;
    }
    let seen: Vec<(&Value, &Value)> = attempts
        .iter()
        .map(|attempt| (&attempt["outcome"], &attempt["response_status"]))
        .collect();
    let expected = [
        (json!("succeeded"), json!(200)),
        (json!("failed"), json!(500)),
        (json!("failed"), json!(503)),
        (json!("succeeded"), json!(200)),
    ];
    if !seen
        .into_iter()
        .eq(expected.iter().map(|(outcome, status)| (outcome, status)))
    {
        return Err(Error::DidNotHappen("logging all four attempts").into());
    }
    output::print("")?;
    teller.good("All of it happened.")
}

/// An attempt carries its message's id and two valid signatures, and was answered as expected.
fn check(request: &Received, message_id: &str, status: u16) -> Result<(), Error> {
    if !(request.checks.github.is_valid() && request.checks.standard.is_valid()) {
        Err(Error::DidNotHappen(
            "signing a request so that its receiver can verify it",
        ))
    } else if header(request, "webhook-id") != message_id {
        Err(Error::DidNotHappen("sending the message's id"))
    } else if request.answered != status {
        Err(Error::DidNotHappen("answering as the story says"))
    } else {
        Ok(())
    }
}

async fn start_receiver(failures: Failures) -> Result<Receiver, CliError> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = Options {
        listen,
        secret: None,
        failures,
        delay: Duration::ZERO,
    };
    Receiver::start(options)
        .await
        .map_err(|source| CliError::Receiver {
            address: listen,
            source,
        })
}

async fn next(receiver: &mut Receiver, what: &'static str) -> Result<Received, Error> {
    match timeout(api::STEP_MAX, receiver.next()).await {
        Ok(Some(request)) => Ok(request),
        _ => Err(Error::DidNotHappen(what)),
    }
}

fn header<'a>(request: &'a Received, name: &str) -> &'a str {
    let mut headers = request.headers.iter();
    headers
        .find(|(found, _)| found == name)
        .map_or("", |(_, value)| value)
}
