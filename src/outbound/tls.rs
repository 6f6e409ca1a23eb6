//! How receivers' certificates are verified.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// TLS 1.2 and 1.3 with the operating system's verifier and roots (`SSL_CERT_FILE` and
/// `SSL_CERT_DIR` are honoured on Linux), so that an operator's own authority works.
///
/// A bare container has no roots. Then Mozilla's, built into this binary, stand in with a
/// warning: without them no delivery at all could be made, and they are what the distribution's
/// own package would have held.
pub(super) fn client_config() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(provider.clone());
    config_with(provider, verifier)
}

/// `verifier` is the system's, or why there is none.
fn config_with(
    provider: Arc<rustls::crypto::CryptoProvider>,
    verifier: Result<Verifier, rustls::Error>,
) -> Result<ClientConfig, rustls::Error> {
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match verifier {
        Ok(verifier) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier)),
        Err(error) => {
            tracing::warn!(
                %error,
                "no CA certificates on this system (install `ca-certificates` or set \
                 SSL_CERT_FILE): using the built-in Mozilla roots for outbound TLS"
            );
            builder.with_root_certificates(mozilla_roots())
        }
    };
    Ok(finish(builder.with_no_client_auth()))
}

fn finish(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn mozilla_roots() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

/// A configuration that trusts one certificate only.
#[cfg(test)]
pub(super) fn trusting(
    certificate: rustls::pki_types::CertificateDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(finish(
        builder.with_root_certificates(roots).with_no_client_auth(),
    ))
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn works_without_the_systems_certificates() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let missing = Err(rustls::Error::General("no certificates".to_owned()));
        assert!(config_with(provider, missing).is_ok());
        assert!(mozilla_roots().len() > 50);
    }

    #[test]
    fn speaks_http_1_only() {
        assert_eq!(
            client_config().unwrap().alpn_protocols,
            [b"http/1.1".to_vec()]
        );
    }
}
