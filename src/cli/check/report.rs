//! What was found, for people and for programs.

use keyledger_checks::{Found, Migrations};
use serde_json::{Value, json};

use super::parts::Part;

/// One line for each part.
pub(super) fn lines(parts: &[Part]) -> String {
    let lines: Vec<_> = parts.iter().map(line).collect();
    lines.join("\n")
}

fn line(part: &Part) -> String {
    let Found { kind, place, version, is_encrypted, is_writable, migrations, notes, problems } =
        &part.found;
    let version = version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let place = if place.is_empty() { String::new() } else { format!(" at {place}") };
    let mut words = vec![format!("{kind}{version}{place}")];
    let either = |is: bool, yes: &str, no: &str| if is { yes.to_owned() } else { no.to_owned() };
    words.extend(is_encrypted.map(|is| either(is, "encrypted", "not encrypted")));
    words.extend(is_writable.map(|is| either(is, "writable", "read-only")));
    words.extend(migrations.map(|Migrations { known, pending }| match pending {
        0 => "tables of this version".to_owned(),
        pending => format!("{pending} of {known} migrations are applied at the start"),
    }));
    words.extend(notes.iter().cloned());
    let status = if part.works() { "ok    " } else { "FAILED" };
    let mut text = format!("{status}  {}: {}", part.name, words.join(", "));
    if !part.works() {
        text.push_str(": ");
        text.push_str(&problems.join("; "));
    }
    // What servers say may have line ends.
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// One JSON object.
pub(super) fn json(parts: &[Part]) -> String {
    let checks: Vec<Value> = parts.iter().map(object).collect();
    json!({ "ok": parts.iter().all(Part::works), "checks": checks }).to_string()
}

fn object(part: &Part) -> Value {
    let found = &part.found;
    let migrations = found.migrations;
    let migrations = migrations
        .map(|Migrations { known, pending }| json!({ "known": known, "pending": pending }));
    json!({
        "part": part.name,
        "ok": part.works(),
        "kind": found.kind,
        "place": found.place,
        "version": found.version,
        "encrypted": found.is_encrypted,
        "writable": found.is_writable,
        "migrations": migrations,
        "notes": found.notes,
        "problems": found.problems,
    })
}
