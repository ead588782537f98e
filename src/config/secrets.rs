//! Secrets that were given where others can read them.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::table::SETTINGS;

/// The variables to use instead of flags of `serve` that hold secrets: every user of the machine can read the flags of
/// a process, and none but its own user its environment.
#[must_use]
pub fn secrets_as_flags(matches: &ArgMatches) -> Vec<&'static str> {
    let is_secret = |flag: &str| {
        let value = matches.get_one::<String>(flag).map(String::as_str).unwrap_or_default();
        flag.ends_with("secret")
            || value.contains("PRIVATE KEY")
            // A URL with a password.
            || value.split_once("://").is_some_and(|(_, rest)| {
                rest.contains('@') || rest.contains("password=")
            })
    };
    let is_given = |flag: &str| matches.value_source(flag) == Some(ValueSource::CommandLine);
    let secrets = SETTINGS.iter().filter(|it| is_given(it.flag) && is_secret(it.flag));
    secrets.map(|setting| setting.env).collect()
}
