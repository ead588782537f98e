//! What auditors ask of events and keys.

mod filters;
mod following;
mod paging;
mod roles;
mod streaming;
mod time_travel;

use serde_json::Value;

use crate::support::wait::within;
use crate::support::{Answer, Client};

/// The lines of an answer, while they come.
pub(super) struct Lines {
    response: reqwest::Response,
    /// The beginning of the next line.
    rest: Vec<u8>,
}

/// Asks for an answer of lines.
pub(super) async fn lines(client: &Client, path: &str) -> Lines {
    let response = client.with("accept", "application/x-ndjson").open(path).await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    Lines { response, rest: Vec::new() }
}

impl Lines {
    /// The next line; `None` after the last, an error if the answer was broken off.
    pub(super) async fn line(&mut self) -> Result<Option<String>, reqwest::Error> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.drain(..=end).take(end).collect();
                return Ok(Some(String::from_utf8(line).unwrap()));
            }
            match self.response.chunk().await? {
                Some(chunk) => self.rest.extend(chunk),
                None => {
                    assert!(self.rest.is_empty(), "the last line is whole");
                    return Ok(None);
                }
            }
        }
    }

    /// The next event, past all heartbeats; `None` after the last.
    pub(super) async fn event(&mut self) -> Option<Value> {
        let next = async {
            loop {
                match self.line().await.unwrap() {
                    Some(line) if line.is_empty() => {}
                    Some(line) => return Some(serde_json::from_str(&line).unwrap()),
                    None => return None,
                }
            }
        };
        within("the next event", next).await
    }

    /// All events to the end.
    pub(super) async fn rest(mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        events
    }
}

/// The events of a page.
pub(super) fn events(page: &Answer) -> Vec<Value> {
    page.expect_status(200);
    page.json()["events"].as_array().unwrap().clone()
}

/// One field of all events.
pub(super) fn each(events: &[Value], field: &str) -> Vec<Value> {
    events.iter().map(|event| event[field].clone()).collect()
}

/// A key that was created, revoked and deleted: its id.
pub(super) async fn whole_life(owner: &Client, name: &str) -> String {
    let id = owner.create(name).await;
    owner.delete(&format!("/keys/{id}")).await.expect_status(200);
    owner.delete(&format!("/keys/{id}/permanent")).await.expect_status(200);
    id
}
