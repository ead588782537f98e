//! Inside a crate, modules use each other in one direction.

use std::collections::{BTreeMap, BTreeSet};

use super::workspace::{CRATES, code, sources};

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The top-level module that a file of a crate belongs to; `None` for `lib.rs` and `main.rs`.
fn module_of(path: &std::path::Path, folder: &str) -> Option<String> {
    let inside = path.strip_prefix(folder).ok()?;
    let first = inside.iter().next()?.to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&name)).then(|| name.to_owned())
}

/// The names that a crate's root re-exports, and the modules that they come from.
fn exports(root: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    let text: String = root.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    for statement in text.split(';') {
        let Some((_, path)) = statement.split_once("use ") else { continue };
        let Some((module, names)) = path.split_once("::") else { continue };
        let names = names.rsplit("::").next().unwrap_or_default();
        for name in names.trim_matches(['{', '}', ' ']).split(',') {
            let name = name.rsplit(" as ").next().unwrap_or(name).trim();
            exports.insert(name.to_owned(), module.trim().to_owned());
        }
    }
    exports
}

/// What `crate::` leads to in a text: modules, or names that the root re-exports.
fn used(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for part in text.split("crate::").skip(1) {
        if let Some(list) = part.strip_prefix('{') {
            let list = list.split(';').next().unwrap_or_default();
            // Of a nested list only the first segments count.
            let mut depth = 0;
            let mut segment = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        used.insert(std::mem::take(&mut segment));
                        continue;
                    }
                    _ => {}
                }
                if depth == 0 {
                    segment.push(c);
                }
            }
            used.insert(segment);
        } else {
            used.insert(part.to_owned());
        }
    }
    let first = |path: &String| {
        let name: String =
            path.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        (!name.is_empty()).then_some(name)
    };
    used.iter().filter_map(first).collect()
}

fn graph(folder: &str) -> Graph {
    let files = sources(folder);
    let root = files.iter().find(|(path, _)| path.ends_with("lib.rs")).unwrap();
    let exports = exports(&root.1);
    let mut graph = Graph::new();
    for (path, text) in &files {
        let Some(module) = module_of(path, folder) else { continue };
        let code = code(path, text).join("\n");
        let uses = used(&code).into_iter().map(|name| exports.get(&name).cloned().unwrap_or(name));
        graph.entry(module.clone()).or_default().extend(uses.filter(|other| *other != module));
    }
    graph
}

/// A way from a module back to itself, if there is one.
fn cycle(graph: &Graph) -> Option<Vec<String>> {
    fn walk<'a>(
        graph: &'a Graph,
        at: &'a str,
        path: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(from) = path.iter().position(|known| *known == at) {
            return Some(path[from..].iter().map(|&name| name.to_owned()).collect());
        }
        if !done.insert(at) {
            return None;
        }
        path.push(at);
        for next in graph.get(at).into_iter().flatten() {
            if let Some(found) = walk(graph, next, path, done) {
                return Some(found);
            }
        }
        path.pop();
        None
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|module| walk(graph, module, &mut Vec::new(), &mut done))
}

#[keyledger_bounded::test]
fn the_modules_of_a_crate_form_no_cycle() {
    for (krate, folder) in CRATES {
        let graph = graph(folder);
        assert!(graph.len() > 1, "{krate} has modules");
        let cycle = cycle(&graph);
        assert_eq!(cycle, None, "{krate}: {graph:#?}");
    }
}

#[keyledger_bounded::test]
fn a_cycle_is_seen() {
    let graph = |edges: &[(&str, &str)]| -> Graph {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    };
    assert_eq!(cycle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let found = cycle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")]));
    assert_eq!(found, Some(vec!["b".to_owned(), "c".to_owned()]));
    let text = "use crate::{one::{A, B}, two, Three};\nuse crate::four::C;";
    let expected = ["Three", "four", "one", "two"].map(str::to_owned);
    assert_eq!(used(text), BTreeSet::from(expected));
    let exports = exports("pub use id::{KeyId, UserId};\npub use key::at::Moment;");
    assert_eq!(exports.get("UserId"), Some(&"id".to_owned()));
    assert_eq!(exports.get("Moment"), Some(&"key".to_owned()));
}
