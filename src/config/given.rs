//! The value of a setting as it was given: itself, or in a file.

use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;
use zeroize::Zeroizing;

use super::files::read_private;
use super::table::{SETTINGS, Setting};

/// What is said of an empty value, which may come from a variable that was to hold one.
const EMPTY: &str = "must not be empty; leave it out to have no value, or the default";

/// A value, and the variable to name in a mistake.
pub(super) struct Given {
    pub(super) env: &'static str,
    /// Without white space around it, such as the line end of a file.
    pub(super) value: Result<Zeroizing<String>, String>,
}

/// The value of a setting; `None` if it is left out and has no default.
pub(super) fn given(matches: &ArgMatches, flag: &str) -> Option<Given> {
    let setting = SETTINGS.iter().find(|setting| setting.flag == flag)?;
    let value = matches.get_one::<String>(flag);
    match file(setting, matches) {
        Some((env, path)) => {
            let is_given = value.is_some() && !is_default(matches, flag);
            let value = if is_given {
                Err(format!("give either this or {}, not both", setting.env))
            } else {
                text_in(path)
            };
            Some(Given { env, value })
        }
        None => {
            let value = trimmed(value?, EMPTY);
            Some(Given { env: setting.env, value })
        }
    }
}

/// The file that has the value of a setting, if one is given, and the variable that names it.
pub(super) fn file<'a>(
    setting: &Setting,
    matches: &'a ArgMatches,
) -> Option<(&'static str, &'a str)> {
    let (flag, env) = setting.file()?;
    Some((env, matches.get_one::<String>(flag)?.trim()))
}

fn is_default(matches: &ArgMatches, flag: &str) -> bool {
    matches.value_source(flag) == Some(ValueSource::DefaultValue)
}

fn text_in(path: &str) -> Result<Zeroizing<String>, String> {
    if path.is_empty() {
        return Err(EMPTY.to_owned());
    }
    trimmed(&read_private(Path::new(path))?, "the file is empty")
}

fn trimmed(text: &str, empty: &str) -> Result<Zeroizing<String>, String> {
    match text.trim() {
        "" => Err(empty.to_owned()),
        text => Ok(Zeroizing::new(text.to_owned())),
    }
}
