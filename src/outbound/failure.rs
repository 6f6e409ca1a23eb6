//! Why a try failed, in words for the tenant.
//!
//! The HTTP client's errors are chains of several crates' errors. Their texts are not ours to
//! show: some print the URL with its query, some an internal address. So the chain is only
//! looked through for what it is, and the sentence is chosen here.

use std::error::Error as StdError;
use std::io;
use std::iter;
use std::time::Duration;

use hookledger_domain::delivery::attempt::{Failure, FailureCode};
use hookledger_domain::target::Refusal;

use super::peer::UnknownPeer;

type Cause = dyn StdError + 'static;

/// The target may not be reached.
pub(super) fn refused(refusal: &Refusal) -> Failure {
    Failure {
        code: FailureCode::RefusedTarget,
        message: refusal.to_string(),
    }
}

/// The deadline passed without an answer's head.
pub(super) fn timed_out(after: Duration) -> Failure {
    let message = format!("no answer within {after:?} (DNS, connect, TLS and answer together)");
    Failure {
        code: FailureCode::Timeout,
        message,
    }
}

/// There is an answer, but not the one that was hoped for.
pub(super) fn bad_status(status: http::StatusCode) -> Failure {
    let reason = status
        .canonical_reason()
        .unwrap_or("a status without a name");
    let hint = match status.is_redirection() {
        true => "; redirects are not followed",
        false => "",
    };
    let message = format!("the receiver answered {} {reason}{hint}", status.as_u16());
    Failure {
        code: FailureCode::HttpStatus,
        message,
    }
}

/// Finds the phase in which an exchange failed.
pub(super) fn explain(error: &reqwest::Error) -> Failure {
    if let Some(refusal) = find::<Refusal>(error) {
        return refused(refusal);
    }
    if find::<UnknownPeer>(error).is_some() {
        return failure(
            FailureCode::RefusedTarget,
            "the connected address could not be judged",
        );
    }
    if error.is_dns() {
        return failure(FailureCode::Dns, "the target's name does not resolve");
    }
    if let Some(error) = find_tls(error) {
        return failure(FailureCode::Tls, tls_sentence(error));
    }
    if error.is_connect() {
        return explain_connect(error);
    }
    explain_exchange(error)
}

/// Neither DNS nor a TLS error: TCP, or a connection that broke during the TLS handshake.
fn explain_connect(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return failure(FailureCode::Timeout, "no connection could be made in time");
    }
    // hyper-util puts errors of TCP into one of its own; a bare `io::Error` right below its
    // client's error is the TLS handshake's.
    let mut below_client = chain(error)
        .skip_while(|error| !error.is::<hyper_util::client::legacy::Error>())
        .skip(1);
    if below_client
        .next()
        .is_some_and(|error| error.is::<io::Error>())
    {
        return failure(
            FailureCode::Tls,
            "the connection ended during the TLS handshake",
        );
    }
    let sentence = match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "the connection was refused",
        Some(io::ErrorKind::ConnectionReset) => "the connection was reset while it was made",
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            "the target's host or network is unreachable"
        }
        Some(io::ErrorKind::TimedOut) => "the target's host does not answer",
        _ => "no connection could be made",
    };
    failure(FailureCode::Connect, sentence)
}

/// A connection was there, but no answer's head came over it.
fn explain_exchange(error: &reqwest::Error) -> Failure {
    let closed = |sentence| failure(FailureCode::ConnectionClosed, sentence);
    match find::<hyper::Error>(error) {
        Some(hyper) if hyper.is_parse() => failure(
            FailureCode::InvalidResponse,
            "the answer is no HTTP/1.1, or its head is too large (100 headers, 400 KiB)",
        ),
        Some(hyper) if hyper.is_incomplete_message() => {
            closed("the connection was closed before the answer was complete")
        }
        _ => match find::<io::Error>(error).map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
                closed("the connection was reset before an answer came")
            }
            _ => closed("the connection ended before an answer came"),
        },
    }
}

fn tls_sentence(error: &rustls::Error) -> &'static str {
    use rustls::{CertificateError as Certificate, Error as Tls};
    match error {
        Tls::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the receiver's TLS certificate has expired"
        }
        Tls::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "the receiver's TLS certificate is for another name",
        Tls::InvalidCertificate(Certificate::UnknownIssuer) => {
            "the receiver's TLS certificate is self-signed, of an unknown issuer, or sent without \
             its intermediate certificates"
        }
        Tls::InvalidCertificate(_) => "the receiver's TLS certificate is not valid",
        Tls::AlertReceived(_) => "the receiver refused the TLS handshake",
        Tls::PeerIncompatible(_) => "the receiver speaks no TLS version or cipher that is safe",
        Tls::InvalidMessage(_) => "the receiver does not speak TLS on this port",
        _ => "the TLS handshake failed",
    }
}

fn failure(code: FailureCode, sentence: &str) -> Failure {
    Failure {
        code,
        message: sentence.to_owned(),
    }
}

fn chain(error: &Cause) -> impl Iterator<Item = &Cause> {
    iter::successors(Some(error), |&error| error.source())
}

fn find<E: StdError + 'static>(error: &Cause) -> Option<&E> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// rustls' errors sit inside an `io::Error`, sometimes inside two, and `source` skips what an
/// `io::Error` holds.
fn find_tls(error: &Cause) -> Option<&rustls::Error> {
    chain(error)
        .filter_map(|error| error.downcast_ref())
        .flat_map(|io: &io::Error| iter::successors(Some(io), |io| io.get_ref()?.downcast_ref()))
        .find_map(|io| io.get_ref()?.downcast_ref())
}
