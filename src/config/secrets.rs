//! Secrets that were given where others can read them.

use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::files;
use super::given;
use super::table::{SETTINGS, Secrecy, Setting};

/// What to warn of: secrets in flags, which every user of the machine can read, while the environment of a
/// process can be read by its own user only; and files of secrets that others may read.
#[must_use]
pub fn exposed_secrets(matches: &ArgMatches) -> Vec<String> {
    let in_flags = SETTINGS.iter().filter(|setting| is_secret_flag(setting, matches));
    let in_flags = in_flags.map(|setting| {
        format!(
            "{} was given as a flag: every user of this machine can read it in the list of processes",
            setting.env
        )
    });
    let in_files = SETTINGS.iter().filter_map(|setting| open_file(setting, matches));
    let in_files = in_files.map(|variable| {
        format!(
            "others may read the file of {variable}: for a secret of Kubernetes, set defaultMode: 0440 and an \
             fsGroup"
        )
    });
    in_flags.chain(in_files).collect()
}

fn is_secret_flag(setting: &Setting, matches: &ArgMatches) -> bool {
    if matches.value_source(setting.flag) != Some(ValueSource::CommandLine) {
        return false;
    }
    let value = matches.get_one::<String>(setting.flag).map(String::as_str).unwrap_or_default();
    match setting.secrecy {
        // The query of the key set's URL may hold a token of any name.
        Secrecy::Secret { .. } if value.starts_with("http") => value.contains(['@', '?']),
        Secrecy::Secret { .. } => {
            !value.contains("://") || value.contains('@') || value.contains("password=")
        }
        Secrecy::Open | Secrecy::Files => value.contains("PRIVATE KEY"),
    }
}

/// The variable that names a file which others may read, if there is one.
fn open_file(setting: &Setting, matches: &ArgMatches) -> Option<&'static str> {
    let is_open = |paths: &str| paths.split(',').any(|path| files::is_open(Path::new(path.trim())));
    let (variable, paths) = match setting.secrecy {
        Secrecy::Open => return None,
        Secrecy::Files => (setting.env, matches.get_one::<String>(setting.flag)?.as_str()),
        Secrecy::Secret { .. } => given::file(setting, matches)?,
    };
    is_open(paths).then_some(variable)
}
