//! The rules of the house: which crate may use which, where each technology lives, how large a room
//! may be, and that a name means one thing.

mod crates;
mod limits;
mod modules;
mod names;
mod workspace;

use workspace::{sources, uses};

#[keyledger_bounded::test]
fn each_technology_has_one_place() {
    let places: [(&str, &[&str]); 19] = [
        ("sqlx", &["checks/", "postgres/", "sqlite/", "projections/", "journal/", "vault/"]),
        ("axum", &["http/src/"]),
        ("eventstore", &["journal/src/kurrentdb/"]),
        ("async_nats", &["relay/src/nats/"]),
        ("socket2", &["journal/src/kurrentdb/"]),
        ("keyledger_postgres", &["checks/", "projections/", "journal/", "vault/"]),
        ("keyledger_sqlite", &["projections/", "vault/"]),
        ("chacha20poly1305", &["vault/src/"]),
        ("tower_http", &["http/src/"]),
        ("utoipa", &["http/src/", "domain/src/published"]),
        ("hyper_util", &["http/src/"]),
        ("jsonwebtoken", &["identity/src/"]),
        ("clap", &["src/cli/", "src/config/"]),
        ("tracing_subscriber", &["src/telemetry.rs", "src/config/", "telemetry/src/"]),
        ("opentelemetry", &["telemetry/src/"]),
        ("opentelemetry_proto", &["telemetry/src/"]),
        ("opentelemetry_sdk", &["telemetry/src/"]),
        ("tracing_opentelemetry", &["telemetry/src/"]),
        ("tracing_appender", &["src/telemetry.rs"]),
    ];
    let all: Vec<_> = workspace::CRATES.iter().flat_map(|(_, folder)| sources(folder)).collect();
    for (krate, folders) in places {
        let mut users = 0;
        for (path, text) in &all {
            let path = path.to_string_lossy().replace('\\', "/");
            if uses(text, krate) {
                users += 1;
                let allowed = folders.iter().any(|folder| path.starts_with(folder));
                assert!(allowed, "{path} uses {krate}");
            }
        }
        assert!(users > 0, "nobody uses {krate}: the rule is out of date");
    }
}

#[keyledger_bounded::test]
fn nothing_holds_both_the_write_side_and_the_read_side() {
    for (path, text) in ["src", "http/src"].into_iter().flat_map(sources) {
        for part in text.split("struct ").skip(1) {
            let fields = part.split_inclusive(['}', ';']).next().unwrap_or_default();
            let writes = ["Commands", "dyn Journal>"].iter().any(|name| fields.contains(name));
            let reads = fields.contains("ReadTables");
            assert!(!(writes && reads), "{}: struct {fields}", path.display());
        }
    }
}

#[keyledger_bounded::test]
fn a_secret_is_exposed_in_one_answer() {
    let exposing: Vec<_> = workspace::CRATES
        .into_iter()
        .flat_map(|(_, folder)| sources(folder))
        .flat_map(|(path, text)| {
            let code = workspace::code(&path, &text).into_iter();
            let lines = code.filter(|line| line.contains(".expose()"));
            lines.map(|line| format!("{}: {}", path.display(), line.trim())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(exposing.len(), 1, "{exposing:?}");
    assert!(exposing[0].starts_with("http/src/keys/create.rs: "), "{exposing:?}");
}

#[keyledger_bounded::test]
fn settings_are_read_in_one_place() {
    for (_, folder) in workspace::CRATES {
        for (path, text) in sources(folder) {
            let reads = ["env::var", "KEYLEDGER_"].iter().any(|word| {
                let code = workspace::code(&path, &text);
                code.iter().any(|line| line.contains(word) && !line.contains('"'))
            });
            let is_there = path.starts_with("src/config");
            assert!(is_there || !reads, "{} reads the environment", path.display());
        }
    }
}
