//! Servers whose certificates are of a private authority.

use keyledger_test_servers::certificate::Certificate;
use keyledger_test_servers::https::Https;
use keyledger_test_servers::kurrentdb::Server;
use keyledger_test_servers::nats::Nats;
use keyledger_test_servers::postgres::Postgres;
use serde_json::json;
use tempfile::TempDir;

use super::check::check;
use crate::http::key_sets::{ed25519, minted};
use crate::support::{Client, Setup};

#[keyledger_bounded::test]
async fn servers_with_certificates_of_a_private_authority_are_used_once_it_is_named() {
    // The first client chooses the cryptography provider of the process, which the stand-in needs.
    let plain = Server::start();
    keyledger_journal::open(&plain.url()).await.unwrap();
    let certificate = Certificate::issued();
    let authority = certificate.authority().display().to_string();
    let read = |path| std::fs::read_to_string(path).unwrap();
    let kurrent = Server::start_with_tls(&read(certificate.path()), &read(certificate.key()));
    let postgres = Postgres::start_with_tls(&certificate);
    let nats = Nats::start_with_tls(certificate.path(), certificate.key());
    let (pem, public) = ed25519("k1");
    let provider = Https::start(&certificate, &json!({ "keys": [public] }).to_string());

    let journal = format!("kurrentdb://{}", kurrent.address());
    let tables = format!("{}?sslmode=verify-full", postgres.database().await);
    let servers = nats.url().replace("nats://", "tls://");
    let folder = TempDir::new().unwrap();
    let unnamed = [
        ("KEYLEDGER_JOURNAL_URL", &*journal),
        ("KEYLEDGER_READ_URL", &*tables),
        ("KEYLEDGER_NATS_URL", &*servers),
        ("KEYLEDGER_JWT_JWKS_URL", &*provider.url()),
    ];
    let checked = check(folder.path(), &unnamed);
    assert_eq!(checked.code, Some(1));
    for (part, name) in [
        ("journal", "tlsCaFile"),
        ("read tables", "sslrootcert"),
        ("NATS", "SSL_CERT_FILE"),
        ("sign-in", "SSL_CERT_FILE"),
    ] {
        let part = checked.part(part);
        let problem = part["problems"][0].as_str().unwrap();
        assert!(problem.contains("is not trusted") && problem.contains(name), "{part}");
    }

    let journal = format!("{journal}?tlsCaFile={authority}");
    let tables = format!("{tables}&sslrootcert={authority}");
    let named = [
        ("KEYLEDGER_JOURNAL_URL", &*journal),
        ("KEYLEDGER_READ_URL", &*tables),
        ("KEYLEDGER_NATS_URL", &*servers),
        ("KEYLEDGER_JWT_JWKS_URL", &*provider.url()),
        ("SSL_CERT_FILE", &*authority),
    ];
    let checked = check(folder.path(), &named);
    for part in ["journal", "read tables", "NATS", "sign-in"] {
        assert_eq!(checked.works().part(part)["encrypted"], true, "{part}");
    }
    let setup = Setup::new().unset("KEYLEDGER_JWT_HS256_SECRET");
    let setup = named.iter().fold(setup, |setup, (name, value)| setup.set(name, value));
    let service = setup.start().ready().await;
    service.part_is("relay", "ready").await;
    let ann = Client::new(&service.address, Some(minted(&pem, "k1")));
    ann.create("over TLS").await;
}

#[keyledger_bounded::test]
async fn a_journal_in_postgresql_is_reached_over_tls() {
    let certificate = Certificate::issued();
    let postgres = Postgres::start_with_tls(&certificate);
    let url = format!("{}?sslmode=verify-full", postgres.database().await);
    let folder = TempDir::new().unwrap();
    let authority = certificate.authority().display().to_string();
    // libpq's variable is as good as the parameter.
    let settings = [("KEYLEDGER_JOURNAL_URL", &*url), ("PGSSLROOTCERT", &*authority)];
    assert_eq!(check(folder.path(), &settings).works().part("journal")["encrypted"], true);
    // The certificate is for the address, and not for the name.
    let other = url.replace("127.0.0.1", "localhost");
    let settings = [("KEYLEDGER_JOURNAL_URL", &*other), ("PGSSLROOTCERT", &*authority)];
    let told = check(folder.path(), &settings).problem("journal");
    assert!(told.contains("not valid for name"), "{told}");
}
