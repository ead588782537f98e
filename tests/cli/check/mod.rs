//! `keyledger check`, with each store up, down and wrong.

mod files;
mod kurrentdb;
mod others;
mod postgres;

use std::path::Path;

use serde_json::Value;

use crate::support::{SECRET, keyledger, run};

/// How many migrations there are in a folder below `migrations/`.
pub(super) fn migrations(folder: &str) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
    std::fs::read_dir(folder).unwrap().count()
}

/// What `keyledger check` said and how it ended.
pub(super) struct Checked {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Checked {
    /// What was found for a part, in the form for programs.
    #[track_caller]
    pub(super) fn part(&self, name: &str) -> Value {
        let report = self.report();
        let found = report["checks"].as_array().unwrap().iter().find(|part| part["part"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {report}")).clone()
    }

    #[track_caller]
    fn report(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|_| panic!("no JSON: {}\n{}", self.stdout, self.stderr))
    }

    /// The only problem that there is: one of this part.
    #[track_caller]
    pub(super) fn problem(&self, name: &str) -> String {
        assert_eq!(self.code, Some(1), "{}", self.stdout);
        let report = self.report();
        assert_eq!(report["ok"], false);
        for part in report["checks"].as_array().unwrap() {
            assert_eq!(part["ok"], part["part"] != name, "{report}");
        }
        let part = self.part(name);
        let problems = part["problems"].as_array().unwrap();
        assert_eq!(problems.len(), 1, "{report}");
        problems[0].as_str().unwrap().to_owned()
    }

    /// All works.
    #[track_caller]
    pub(super) fn works(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        assert_eq!(self.report()["ok"], true);
        self
    }
}

/// The settings that every check has, unless it has others.
const USUAL: [(&str, &str); 4] = [
    ("KEYLEDGER_LISTEN", "127.0.0.1:0"),
    ("KEYLEDGER_INTERNAL_LISTEN", "127.0.0.1:0"),
    ("KEYLEDGER_JWT_HS256_SECRET", SECRET),
    ("KEYLEDGER_LOG_FORMAT", "json"),
];

/// Checks a service in this folder with these settings, for programs.
#[track_caller]
pub(super) fn check(folder: &Path, settings: &[(&str, &str)]) -> Checked {
    let mut check = keyledger(folder);
    check.args(["check", "--json"]);
    for (name, value) in USUAL.iter().chain(settings) {
        check.env(name, value);
    }
    if settings.iter().any(|(name, _)| *name == "KEYLEDGER_JWT_JWKS_URL") {
        check.env_remove("KEYLEDGER_JWT_HS256_SECRET");
    }
    checked(run(&mut check))
}

pub(super) fn checked(output: std::process::Output) -> Checked {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Checked { code: output.status.code(), stdout, stderr }
}
