//! `keyledger token`: makes a sign-in token, for scripts and for trials.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{args_of, read_private, shared_secret_from_matches};
use keyledger_domain::Clock;
use keyledger_identity::{Claims, SigningKey, mint as sign};
use keyledger_node::clock::SystemClock;

pub(super) fn command() -> Command {
    let value = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).value_name("VALUE").action(ArgAction::Set)
    };
    Command::new("token")
        .about("Mint a sign-in token with a given private key")
        .arg(value("key", "File of the private key: PEM, PKCS#8 (RSA, EC P-256 or P-384, Ed25519)"))
        .args(args_of("jwt-hs256-secret"))
        .arg(value("user", "The user's id").required(true))
        .arg(value("email", "The user's e-mail address"))
        .arg(value("role", "A role; may be given again").action(ArgAction::Append))
        .arg(value("audience", "The audience"))
        .arg(value("issuer", "The issuer"))
        .arg(value("key-id", "The `kid` that names the key in a key set"))
        .arg(value("expires-in", "How long the token is good for").default_value("1h"))
}

pub(super) fn mint(matches: &ArgMatches) -> anyhow::Result<String> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let key = if let Some(file) = text("key") {
        let pem = read_private(Path::new(&file));
        SigningKey::from_pem(&pem.map_err(|why| anyhow!("the private key: {why}"))?)?
    } else if let Some(secret) = shared_secret_from_matches(matches)? {
        SigningKey::hs256(&secret)
    } else {
        bail!("give a private key with --key, or a secret with --jwt-hs256-secret-file");
    };
    let expires_in = text("expires-in").unwrap_or_default();
    let expires_in: Duration = humantime::parse_duration(&expires_in)
        .context("--expires-in is no duration with a unit, such as 1h")?;
    let now = SystemClock.now().unix_seconds();
    let claims = Claims {
        user_id: text("user").unwrap_or_default(),
        email: text("email"),
        roles: matches.get_many::<String>("role").unwrap_or_default().cloned().collect(),
        audience: text("audience"),
        issuer: text("issuer"),
        issued_at: now,
        expires_at: now.saturating_add(i64::try_from(expires_in.as_secs()).unwrap_or(i64::MAX)),
    };
    Ok(sign(&key, &claims, text("key-id"))?)
}
