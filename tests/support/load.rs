//! A load of users who create and revoke keys all the time, and the answers that they got.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use keyledger_domain::RecordedEvent;
use keyledger_domain::key::KeyEvent;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Client, wait};

/// How long a user pauses after a failed request.
const BEFORE_NEXT: Duration = Duration::from_millis(10);

/// The answers that users got.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The keys that were created, and whether they were revoked.
    pub(crate) created: BTreeMap<String, bool>,
    /// Names of keys that were not created.
    pub(crate) refused: BTreeSet<String>,
    /// Names of keys that may have been created.
    pub(crate) unknown: BTreeSet<String>,
    /// Ids of keys that may have been revoked.
    pub(crate) maybe_revoked: BTreeSet<String>,
}

/// Users at work.
pub(crate) struct Load {
    people: JoinSet<Told>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
}

impl Load {
    /// Starts a user for each client. The names of all keys differ if each load of a test has another
    /// `round`.
    pub(crate) fn start(clients: impl IntoIterator<Item = Client>, round: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut people = JoinSet::new();
        for (person, client) in clients.into_iter().enumerate() {
            people.spawn(work(client, format!("{round}-{person}"), stop.clone(), done.clone()));
        }
        Self { people, stop, done }
    }

    /// Waits until this many more keys have been created.
    pub(crate) async fn created(&mut self, more: usize) {
        let until = self.done.load(Ordering::SeqCst) + more;
        wait::until(format!("{until} keys to be created"), async || {
            // Before the stop, a user ends only by a panic.
            if let Some(panicked) = self.people.try_join_next() {
                panicked.unwrap();
            }
            match self.done.load(Ordering::SeqCst) {
                done if done >= until => Ok(()),
                done => Err(done),
            }
        })
        .await;
    }

    /// Lets all users finish their last request; tells the answers that they got.
    pub(crate) async fn stop(mut self) -> Told {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Told::default();
        let ending = async {
            while let Some(told) = self.people.join_next().await {
                all.add(told.unwrap());
            }
        };
        wait::within("the end of the last requests of all users", ending).await;
        all
    }
}

async fn work(
    client: Client,
    prefix: String,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
) -> Told {
    let mut told = Told::default();
    let json = client.with("content-type", "application/json");
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let name = format!("{prefix}-{number}");
        let body = json!({ "name": name }).to_string().into_bytes();
        let id = match json.try_send("POST", "/keys", Some(body)).await {
            Ok(answer) if answer.status == 200 => {
                done.fetch_add(1, Ordering::SeqCst);
                answer.json()["key_id"].as_str().unwrap().to_owned()
            }
            Ok(answer) => {
                let (status, code, _) = answer.problem();
                assert_eq!(status, 503, "{answer}");
                match &*code {
                    "unavailable" => told.refused.insert(name),
                    "outcome_unknown" => told.unknown.insert(name),
                    code => panic!("{code}"),
                };
                wait::lasts(BEFORE_NEXT).await;
                continue;
            }
            Err(_) => {
                told.unknown.insert(name);
                wait::lasts(BEFORE_NEXT).await;
                continue;
            }
        };
        let mut is_revoked = false;
        if number % 3 == 0 {
            match json.try_send("DELETE", &format!("/keys/{id}"), None).await {
                Ok(answer) if answer.status == 200 => is_revoked = true,
                Ok(answer) if answer.problem().1 == "unavailable" => {}
                Ok(_) | Err(_) => {
                    told.maybe_revoked.insert(id.clone());
                }
            }
        }
        told.created.insert(id, is_revoked);
    }
    told
}

impl Told {
    /// Adds the answers of another load.
    pub(crate) fn add(&mut self, other: Self) {
        self.created.extend(other.created);
        self.refused.extend(other.refused);
        self.unknown.extend(other.unknown);
        self.maybe_revoked.extend(other.maybe_revoked);
    }

    /// Checks that the journal holds everything that was acknowledged, once, and nothing that was
    /// refused.
    pub(crate) fn assert_is(&self, events: &[RecordedEvent]) {
        let mut created = BTreeMap::new();
        let mut revoked = BTreeSet::new();
        for recorded in events {
            let id = recorded.event.key_id().to_string();
            match &recorded.event {
                KeyEvent::Created(event) => {
                    let name = event.details.name.as_str().to_owned();
                    assert_eq!(created.insert(id, name), None, "a key is created once");
                }
                KeyEvent::Revoked(_) => assert!(revoked.insert(id), "a key is revoked once"),
                KeyEvent::Deleted(_) => panic!("nobody deletes"),
                KeyEvent::OwnerEmailChanged(_) => panic!("no address changes"),
            }
        }
        for (id, is_revoked) in &self.created {
            assert!(created.contains_key(id), "{id} is lost");
            let may_be = *is_revoked || self.maybe_revoked.contains(id);
            assert!(!is_revoked || revoked.contains(id), "the revocation of {id} is lost");
            assert!(may_be || !revoked.contains(id), "{id} was revoked, and nobody was told");
        }
        let names: BTreeSet<_> = created.values().cloned().collect();
        assert_eq!(names.len(), created.len(), "a request was carried out twice");
        for name in &self.refused {
            assert!(!names.contains(name), "{name} was refused, and created");
        }
        for (id, name) in &created {
            assert!(
                self.created.contains_key(id) || self.unknown.contains(name),
                "{name} was created, and nobody was told"
            );
        }
    }
}
