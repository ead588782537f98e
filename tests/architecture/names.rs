//! A public name means one thing in the whole workspace.

use std::collections::BTreeMap;

use super::workspace::{CRATES, code, sources};

/// The name of the type that a line of code declares for other crates to see.
fn declared(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ")?;
    let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next()
}

#[keyledger_bounded::test]
fn the_names_of_public_types_are_unique_in_the_workspace() {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, folder) in CRATES {
        for (path, text) in sources(folder) {
            for name in code(&path, &text).into_iter().filter_map(declared) {
                names.entry(name.to_owned()).or_default().push(path.display().to_string());
            }
        }
    }
    assert!(names.len() > 100, "types are seen");
    names.retain(|_, places| places.len() > 1);
    assert!(names.is_empty(), "names that mean several things: {names:#?}");
}

#[keyledger_bounded::test]
fn declarations_are_seen() {
    assert_eq!(declared("pub struct Key<'a> {"), Some("Key"));
    assert_eq!(declared("pub enum State {"), Some("State"));
    assert_eq!(declared("pub(crate) struct Row;"), None);
    assert_eq!(declared("    pub struct Inner;"), None);
}
