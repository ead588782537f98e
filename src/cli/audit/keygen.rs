//! `keyledger audit keygen`: makes the key that signs checkpoints.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command};
use keyledger_tlog::NoteSigningKey;
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::cli::say;

pub(super) fn command() -> Command {
    let value = |name: &'static str, help: &'static str, of: &'static str| {
        Arg::new(name).long(name).help(help).value_name(of).action(ArgAction::Set).required(true)
    };
    Command::new("keygen")
        .about("Make the key that checkpoints are signed with; print its public key")
        .arg(value("name", "The log's name, such as keys.example.com/production", "NAME"))
        .arg(value("out", "The file of the private key, which must not exist", "FILE"))
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let (name, path) = (text("name"), text("out"));
    let seed = Zeroizing::new(UnwrapErr(SysRng).random::<[u8; 32]>());
    let key = NoteSigningKey::from_seed(&name, seed)?;
    let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
    let mut file = file.with_context(|| format!("the file {path:?} cannot be made"))?;
    let private = key.private_text();
    let written = file.write_all(private.as_bytes()).and_then(|()| file.write_all(b"\n"));
    let written = written.and_then(|()| file.sync_all());
    written.with_context(|| format!("the file {path:?} cannot be written"))?;
    say(&key.verifying_key().to_string())
}
