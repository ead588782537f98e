//! The selection of the events to export.

use anyhow::Context;
use clap::ArgMatches;
use keyledger_domain::{EventFilter, Timestamp, UserId};
use keyledger_tlog::export::Subset;

/// The filter that the options describe.
pub(super) fn from_matches(matches: &ArgMatches) -> anyhow::Result<EventFilter> {
    let text = |name: &str| matches.get_one::<String>(name);
    let time = |name: &str| {
        let time = text(name).map(|time| Timestamp::parse(time));
        time.transpose()
            .with_context(|| format!("--{name} is no time, such as 2026-03-01T00:00:00Z"))
    };
    let key_id = text("key").map(|key| key.parse()).transpose();
    let owner = text("user").map(|user| UserId::parse(user)).transpose();
    Ok(EventFilter {
        key_id: key_id.context("--key is no id of a key")?,
        owner: owner.context("--user is no id of an owner")?,
        types: Vec::new(),
        from: time("from")?,
        to: time("to")?,
    })
}

/// The filter in the form of an export's first line; `None` if it selects all events.
pub(super) fn subset(wanted: &EventFilter) -> Option<Subset> {
    let EventFilter { key_id, owner, from, to, .. } = wanted.clone();
    let user_id = owner.map(|owner| owner.as_str().to_owned());
    let subset = Subset { user_id, key_id, from, to };
    (subset != Subset::default()).then_some(subset)
}
