//! Schemathesis, a fuzzer of HTTP APIs, which `make tools` installs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{Service, run_within};

/// The most that it may take: it asks hundreds of times.
const LIMIT: Duration = Duration::from_secs(15 * 60);
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/schemathesis/bin/st");

/// Asks a listener of the service all that its document allows, and more, with these settings and this token.
/// Panics if an answer is not one that the document allows; tells what the fuzzer said.
pub(crate) fn fuzz(service: &Service, address: &str, settings: &str, token: &str) -> String {
    assert!(Path::new(PROGRAM).exists(), "run `make tools` first");
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("settings.toml"), settings).unwrap();
    let output = run_within(
        LIMIT,
        Command::new(PROGRAM)
            .args(["--config-file", "settings.toml", "run", "--output-sanitize", "false"])
            .arg(format!("http://{address}/openapi.json"))
            .env("TOKEN", token)
            .current_dir(folder.path()),
    );
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}\n{}", service.output());
    told
}
