//! The walkthrough for auditors in docs/auditing.md, followed to the letter.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use keyledger_test_servers::free_port;
use tempfile::TempDir;

use crate::support::{keyledger, run_within};

const AUDITING: &str = include_str!("../../docs/auditing.md");
const SECTION: &str = "## Someone says that a key was used after it was revoked";
/// What the script says before each answer.
const MARK: &str = "@@@ answer ";
/// Far more than the script takes, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// A command, and what the document shows of its answer.
struct Step {
    command: String,
    shown: String,
}

/// The commands of the section: each begins with `$ `, goes on after a line that ends with a
/// backslash, and is followed by its answer.
fn steps() -> Vec<Step> {
    let section = AUDITING.split(SECTION).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut steps: Vec<Step> = Vec::new();
    for block in section.split("```sh\n").skip(1) {
        let mut goes_on = false;
        for line in block.split("```").next().unwrap().lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step { command: format!("{command}\n"), shown: String::new() });
            } else {
                let step = steps.last_mut().unwrap();
                let text = if goes_on { &mut step.command } else { &mut step.shown };
                text.push_str(line);
                text.push('\n');
            }
            let is_command = goes_on || line.starts_with("$ ");
            goes_on = is_command && line.ends_with('\\');
        }
    }
    steps
}

/// The text without white space, and with zeros for the digits of its times.
fn plain(text: &str) -> String {
    let mut plain: Vec<char> = text.chars().filter(|char| !char.is_whitespace()).collect();
    let form: Vec<char> = "0000-00-00T00:00:00.000000Z".chars().collect();
    let fits =
        |(char, form): (&char, &char)| char == form || (*form == '0' && char.is_ascii_digit());
    for at in 0..plain.len().saturating_sub(form.len() - 1) {
        if plain[at..].iter().zip(&form).all(fits) {
            plain[at..at + form.len()].copy_from_slice(&form);
        }
    }
    plain.into_iter().collect()
}

/// Whether an answer is what the document shows, in which `…` stands for anything.
fn is_shown(shown: &str, answer: &str) -> bool {
    let (shown, answer) = (plain(shown), plain(answer));
    let parts: Vec<&str> = shown.split('…').collect();
    let Some(mut rest) = answer.strip_prefix(parts[0]) else { return false };
    if parts.len() == 1 {
        return rest.is_empty();
    }
    let last = parts[parts.len() - 1];
    for part in &parts[1..parts.len() - 1] {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[keyledger_bounded::test]
fn what_readme_shows_may_leave_out_parts() {
    let answer = "{\"a\":\"019b-1\", \"at\":\"2026-03-01T12:00:00.000000Z\"}\n";
    assert!(is_shown("{\"a\":\"…\",\n \"at\":\"2030-01-01T00:00:00.123456Z\"}", answer));
    assert!(is_shown("{…}", answer) && is_shown("", "\n"));
    assert!(!is_shown("{\"b\":\"…\"}", answer) && !is_shown("{…", "") && !is_shown("", answer));
}

#[keyledger_bounded::test]
fn the_walkthrough_for_auditors_says_what_happens() {
    let folder = TempDir::new().unwrap();
    let (public, internal) = (free_port(), free_port());
    let steps = steps();
    assert!(steps.len() > 15, "{}", steps.len());
    // The service that the script starts ends with it.
    let mut script = String::from("trap 'kill $! 2> /dev/null' EXIT\n");
    for (number, step) in steps.iter().enumerate() {
        script.push_str(&format!("echo; echo '{MARK}{number}'\n{}", step.command));
    }
    let script = script
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{public}"))
        .replace("127.0.0.1:8081", &format!("127.0.0.1:{internal}"));
    std::fs::write(folder.path().join("script"), &script).unwrap();
    let program = keyledger(folder.path());
    let programs = Path::new(program.get_program()).parent().unwrap().to_owned();
    // A shell that has not ended by then is sent a signal, so that it ends the service too.
    let ran = run_within(
        LIMIT * 2,
        Command::new("timeout")
            .args([&LIMIT.as_secs().to_string(), "bash", "script"])
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
            .env("KEYLEDGER_LISTEN", format!("127.0.0.1:{public}"))
            .env("KEYLEDGER_INTERNAL_LISTEN", format!("127.0.0.1:{internal}"))
            .current_dir(folder.path()),
    );
    let said = String::from_utf8(ran.stdout).unwrap();
    let errors = String::from_utf8(ran.stderr).unwrap();
    let answers: Vec<&str> = said.split(MARK).skip(1).collect();
    for (number, step) in steps.iter().enumerate() {
        let answer = answers.get(number).and_then(|answer| answer.split_once('\n'));
        let (_, answer) = answer.unwrap_or_else(|| panic!("{}: {said}\n{errors}", step.command));
        let Step { command, shown } = step;
        assert!(is_shown(shown, answer), "$ {command}{answer}\nis not\n{shown}\n{errors}");
    }
}
