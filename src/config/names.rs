//! Names in the environment that look like settings and are none: a misspelt name would silently turn off
//! what it was to set.

use super::table::SETTINGS;

const PREFIX: &str = "KEYLEDGER_";
const DEV: &str = "KEYLEDGER_DEV";
/// A name this similar (Jaro-Winkler, from 0 to 1) is suggested.
const SIMILAR: f64 = 0.9;

/// The names of all variables of the environment.
pub(super) fn of_environment() -> impl Iterator<Item = String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}

/// A mistake for each of these names that begins like a setting and is none.
pub(super) fn unknown(names: impl Iterator<Item = String>) -> Vec<String> {
    let files = || SETTINGS.iter().filter_map(|setting| setting.file()).map(|(_, env)| env);
    let settings = || SETTINGS.iter().map(|setting| setting.env).chain(files()).chain([DEV]);
    let own = |name: &str| name.strip_prefix(PREFIX).unwrap_or_default().to_owned();
    let is_unknown = |name: &String| {
        name.starts_with(PREFIX) && !settings().any(|known| known == name) && !is_service_link(name)
    };
    let mut unknown: Vec<String> = names.filter(is_unknown).collect();
    unknown.sort();
    let mistake = |name: String| {
        let similarity = |known: &str| strsim::jaro_winkler(&own(known), &own(&name));
        let similar = settings().map(|known| (similarity(known), known));
        let nearest = similar.max_by(|one, other| one.0.total_cmp(&other.0));
        match nearest.filter(|(similarity, _)| *similarity >= SIMILAR) {
            Some((_, known)) => format!("{name}: there is no such setting; is it {known}?"),
            None => format!("{name}: there is no such setting"),
        }
    };
    unknown.into_iter().map(mistake).collect()
}

/// Whether this is one of the variables that Kubernetes sets for each service of a namespace, which may be
/// called `keyledger` or `keyledger-internal`: `…_SERVICE_HOST`, `…_SERVICE_PORT`, `…_PORT` and
/// `…_PORT_8080_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    let is_port = |rest: &str| {
        let number = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.is_empty()
            || number.len() < rest.len()
                && ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| number.starts_with(protocol))
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name
            .match_indices("_PORT_")
            .any(|(at, part)| name.get(at + part.len()..).is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str) -> Option<String> {
        unknown([name.to_owned()].into_iter()).pop()
    }

    #[test]
    fn a_misspelt_name_is_a_mistake_and_the_right_one_is_suggested() {
        assert_eq!(
            told("KEYLEDGER_JWT_ISUER").unwrap(),
            "KEYLEDGER_JWT_ISUER: there is no such setting; is it KEYLEDGER_JWT_ISSUER?"
        );
        assert_eq!(told("KEYLEDGER_COFFEE").unwrap(), "KEYLEDGER_COFFEE: there is no such setting");
    }

    #[test]
    fn settings_and_what_others_set_are_no_mistakes() {
        for name in [
            "KEYLEDGER_DEV",
            "KEYLEDGER_LISTEN",
            "PATH",
            "KEYLEDGER",
            "OTHER_KEYLEDGER_X",
            "KEYLEDGER_SERVICE_HOST",
            "KEYLEDGER_SERVICE_PORT",
            "KEYLEDGER_SERVICE_PORT_HTTP",
            "KEYLEDGER_PORT",
            "KEYLEDGER_PORT_8080_TCP",
            "KEYLEDGER_PORT_8080_TCP_PROTO",
            "KEYLEDGER_INTERNAL_PORT_8081_TCP_ADDR",
        ] {
            assert_eq!(told(name), None, "{name}");
        }
    }
}
