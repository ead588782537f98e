//! `keyledger audit verify`: checks an export offline.

use std::fs::File;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressStyle};
use keyledger_tlog::NoteVerifyingKey;
use keyledger_tlog::export::{ExportVerifier, Finding, Report};

use super::notes::Kept;
use super::{MANGLED, UNREADABLE, notes};
use crate::cli::say;

pub(super) fn command() -> Command {
    let several = |name: &'static str, help: &'static str, of: &'static str| {
        Arg::new(name).long(name).help(help).value_name(of).action(ArgAction::Append)
    };
    Command::new("verify")
        .about(
            "Check an export offline: 0 it is as it was signed, 1 it is not, 2 it cannot be read, 3 it \
             was changed on its way",
        )
        .arg(Arg::new("file").value_name("FILE").help("The export").required(true))
        .arg(several("key", "A public key that is trusted; may be given again", "VKEY"))
        .arg(several(
            "checkpoint",
            "File of checkpoints that were kept from before; may be given again",
            "FILE",
        ))
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    tell(&check(matches)?)
}

fn check(matches: &ArgMatches) -> anyhow::Result<Report> {
    let all = |name: &str| matches.get_many::<String>(name).unwrap_or_default();
    let keys = all("key").map(|key| {
        key.parse::<NoteVerifyingKey>().with_context(|| format!("--key {key:?} is no public key"))
    });
    let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
    let mut earlier = Vec::new();
    for path in all("checkpoint") {
        anyhow::ensure!(
            !keys.is_empty(),
            "--checkpoint needs --key: a key that you trust must have signed the checkpoints"
        );
        earlier.push(notes::read(path)?);
    }
    let path = matches.get_one::<String>("file").cloned().unwrap_or_default();
    let unreadable = || format!("the export {path:?} cannot be read");
    let file = File::open(&path).with_context(unreadable)?;
    let length = file.metadata().with_context(unreadable)?.len();
    let bar = ProgressBar::new(length).with_style(ProgressStyle::with_template(
        "{bar:40} {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  {eta}",
    )?);
    let continues = |verifier: ExportVerifier, file: Result<Vec<Kept>, Finding>| match file {
        Ok(notes) => notes
            .into_iter()
            .fold(verifier, |verifier, kept| verifier.continues_note(&kept.text, kept.place)),
        Err(finding) => verifier.with_finding(finding),
    };
    let verifier = earlier.into_iter().fold(ExportVerifier::new(keys), continues);
    let report = verifier.check(file, |more| bar.inc(u64::try_from(more).unwrap_or(0)));
    bar.finish_and_clear();
    report.with_context(unreadable)
}

fn tell(report: &Report) -> anyhow::Result<ExitCode> {
    for finding in &report.findings {
        say(&finding.to_string())?;
    }
    if report.more > 0 {
        say(&format!("and {} more", report.more))?;
    }
    if report.findings.contains(&Finding::NotAnExport) {
        return Ok(ExitCode::from(UNREADABLE));
    }
    if report.is_mangled() {
        return Ok(ExitCode::from(MANGLED));
    }
    if !report.is_good() {
        return Ok(ExitCode::FAILURE);
    }
    if let (Some(header), Some(checkpoint)) = (&report.header, &report.checkpoint) {
        let (origin, key) = (&checkpoint.origin, &header.public_key);
        say(&format!("{} events are as {origin} signed them with {key}.", report.events))?;
    }
    Ok(ExitCode::SUCCESS)
}
