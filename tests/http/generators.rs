//! Generators of clients take both documents without a warning, and what they make of them works.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{Service, run, token};

/// What each document is called in the generated code.
const DOCUMENTS: [(&str, &str); 2] =
    [("public", "docs/openapi.json"), ("internal", "docs/openapi-internal.json")];

/// A path of the repository.
fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program that `make tools` installs.
fn tool(path: &str) -> PathBuf {
    let program = here("target/tools").join(path);
    assert!(program.exists(), "run `make tools` first: {}", program.display());
    program
}

/// Checks that a program has succeeded without a warning.
#[track_caller]
fn is_content(output: &Output) {
    let told = String::from_utf8_lossy(&output.stdout);
    let warned = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && warned.is_empty(), "{told}\n{warned}");
}

#[keyledger_bounded::test]
fn a_client_in_typescript_compiles_against_the_documents() {
    let folder = TempDir::new().unwrap();
    for (name, document) in DOCUMENTS {
        is_content(&run(Command::new(tool("typescript/node_modules/.bin/openapi-typescript"))
            .arg(here(document))
            .arg("--output")
            .arg(folder.path().join(format!("{name}.d.ts")))
            .current_dir(folder.path())));
    }
    std::fs::copy(here("tests/http/generated/client.ts"), folder.path().join("client.ts")).unwrap();
    is_content(&run(Command::new(tool("typescript/node_modules/.bin/tsc"))
        .args(["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom"])
        .args(["--module", "esnext", "--moduleResolution", "bundler", "client.ts"])
        .current_dir(folder.path())));
}

#[keyledger_bounded::test]
async fn the_generated_clients_in_python_make_a_tour() {
    let folder = TempDir::new().unwrap();
    let generator = tool("python-client/bin/openapi-python-client");
    let programs = generator.parent().unwrap();
    for (name, document) in DOCUMENTS {
        let output = run(Command::new(&generator)
            .args(["generate", "--fail-on-warning", "--meta", "none", "--path"])
            .arg(here(document))
            .arg("--output-path")
            .arg(folder.path().join(name))
            // It formats what it generates with `ruff`, which is in the same folder.
            .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
            .current_dir(folder.path()));
        is_content(&output);
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    let service = Service::start().ready().await;
    let output = run(Command::new(programs.join("python"))
        .arg(here("tests/http/generated/tour.py"))
        .args([&service.address, &service.internal].map(|address| format!("http://{address}")))
        .args([token("ann", &[]), token("eve", &["keyledger:audit"])])
        .env("PYTHONPATH", folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1"));
    is_content(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n");
}
