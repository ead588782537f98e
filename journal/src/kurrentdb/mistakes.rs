//! What is wrong with the configuration of a server or of this program, in words that help.
//!
//! The client's errors do not tell why a connection cannot be made. So when it fails, a connection of our
//! own is tried, which does.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use eventstore::{ClientSettings, Endpoint, Error};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};

use super::settings::Settings;
use crate::Cause;

/// How long a server may take for each step of a connection.
const STEP: Duration = Duration::from_secs(2);
/// What every HTTP/2 connection begins with (RFC 9113, section 3.4), and an empty frame of settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The first byte of a TLS alert (RFC 8446, section 5.1).
const TLS_ALERT: u8 = 21;

/// A mistake that an operator can correct.
#[derive(Debug, thiserror::Error)]
pub(super) enum Mistake {
    #[error("the certificates in {path:?} (tlsCaFile) cannot be read: {why}")]
    CaFile { path: String, why: String },
    #[error(
        "the certificate of {host} is not trusted: name the certificate of its authority with tlsCaFile in the URL"
    )]
    NotTrusted { host: String },
    #[error("the certificate of {host} is for another name: use a name in the URL that it is for")]
    OtherName { host: String },
    #[error("the certificate of {host} cannot be used: {why}")]
    Certificate { host: String, why: String },
    #[error(
        "{host} does not speak TLS: add tls=false to the URL, or configure a certificate there"
    )]
    NoTls { host: String },
    #[error("{host} does not answer without TLS: remove tls=false from the URL")]
    Tls { host: String },
    #[error(
        "user or password are wrong, or the user may not read $all: an administrator has to add it to $r in the $acl of the metadata of the stream $all"
    )]
    ReadAll,
    #[error(
        "user or password are wrong, or the user may not append to the streams apikey-… and keyledger-pulse: an \
         administrator has to allow it by $userStreamAcl in the stream $settings"
    )]
    Append,
}

/// What the user of a connection has to be allowed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Right {
    ReadAll,
    Append,
}

/// The cause of a failed call, for the log: where a right was missing, which one.
pub(super) fn cause(error: Error, needed: Right) -> Cause {
    match (error, needed) {
        (Error::AccessDenied, Right::ReadAll) => Mistake::ReadAll.into(),
        (Error::AccessDenied, Right::Append) => Mistake::Append.into(),
        (error, _) => error.into(),
    }
}

/// Looks for the mistake because of which no connection can be made; `None` if there is another reason, for
/// instance that nobody listens.
pub(super) async fn find(settings: &Settings) -> Option<Mistake> {
    let client = settings.client.clone();
    let search = move || client.hosts().iter().find_map(|host| try_connection(&client, host));
    tokio::task::spawn_blocking(search).await.ok().flatten()
}

fn try_connection(settings: &ClientSettings, endpoint: &Endpoint) -> Option<Mistake> {
    let roots = match roots(settings) {
        Ok(roots) => roots,
        Err(mistake) => return Some(mistake),
    };
    let port = u16::try_from(endpoint.port).ok()?;
    let host = endpoint.host.clone();
    let address = (host.as_str(), port).to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&address, STEP).ok()?;
    stream.set_read_timeout(Some(STEP)).ok()?;
    stream.set_write_timeout(Some(STEP)).ok()?;
    if settings.is_secure_mode_enabled() {
        if !settings.is_tls_certificate_verification_enabled() {
            return None;
        }
        shake_hands(&mut stream, roots, host)
    } else {
        stream.write_all(PREFACE).ok()?;
        let mut first = [0];
        // A server without TLS sends its settings.
        let is_tls = match stream.read_exact(&mut first) {
            Ok(()) => first == [TLS_ALERT],
            Err(error) => {
                matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
            }
        };
        is_tls.then_some(Mistake::Tls { host })
    }
}

/// The certificates of the authorities that are trusted, as the client takes them.
fn roots(settings: &ClientSettings) -> Result<RootCertStore, Mistake> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = settings.tls_ca_file() {
        let unreadable = |why: String| Mistake::CaFile { path: path.clone(), why };
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unreadable(error.to_string()))?;
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(roots)
}

fn shake_hands(stream: &mut TcpStream, roots: RootCertStore, host: String) -> Option<Mistake> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.ok()?.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(host.clone()).ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    while connection.is_handshaking() {
        if let Err(failure) = connection.complete_io(stream) {
            let error =
                failure.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())?;
            return mistake_in_handshake(error, host);
        }
    }
    None
}

fn mistake_in_handshake(error: &rustls::Error, host: String) -> Option<Mistake> {
    if matches!(error, rustls::Error::InvalidMessage(_)) {
        return Some(Mistake::NoTls { host });
    }
    let rustls::Error::InvalidCertificate(why) = error else { return None };
    let is_other_name = matches!(
        why,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    );
    Some(if is_other_name {
        Mistake::OtherName { host }
    } else if *why == CertificateError::UnknownIssuer {
        Mistake::NotTrusted { host }
    } else {
        Mistake::Certificate { host, why: why.to_string() }
    })
}
