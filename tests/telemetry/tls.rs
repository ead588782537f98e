//! A collector behind TLS, with a certificate that the system does not know.

use std::net::SocketAddr;
use std::sync::Arc;

use keyledger_test_servers::certificate::Certificate;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::collector::Collector;
use super::sending_to;

/// Takes connections with TLS, and passes on what they hold; tells its address.
async fn tls_before(collector: SocketAddr, certificate: &Certificate) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(certificate.path()).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificate.key()).unwrap();
    let config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate ends the handshake.
                let Ok(mut inside) = acceptor.accept(connection).await else { return };
                let mut outside = TcpStream::connect(collector).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
            });
        }
    });
    address
}

#[keyledger_bounded::test]
async fn a_private_authority_is_trusted_only_if_it_is_named() {
    let collector = Collector::start().await;
    let certificate = Certificate::make();
    let address = tls_before(collector.address, &certificate).await;
    let setup = |timeout| {
        sending_to(&collector)
            .set("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("https://{address}"))
            .set("OTEL_EXPORTER_OTLP_TIMEOUT", timeout)
    };
    // The last attempt begins after 15 s, and has 15 s to fail.
    let strict = setup("30000").start().ready().await;
    strict.user("ann").get("/keys").await.expect_status(200);
    let output = strict.printed("the collector does not take what is sent").await;
    assert!(output.contains("certificate"), "{output}");
    assert!(collector.spans().is_empty());
    let file = certificate.path().display().to_string();
    let trusting = setup("10000").set("OTEL_EXPORTER_OTLP_CERTIFICATE", &file);
    let trusting = trusting.start().ready().await;
    trusting.user("ann").create("deploy").await;
    collector.span("POST /keys").await;
}
