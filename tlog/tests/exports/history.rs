//! Histories that are generated from seeds, and exports of them.

use std::collections::HashMap;
use std::convert::Infallible;

use keyledger_domain::key::{KeyCreated, KeyDeleted, KeyDetails, KeyEvent, KeyRevoked};
use keyledger_domain::{
    CommandId, DisplayPrefix, HashFunction, KeyHash, KeyId, KeyName, Metadata, Position, Reason,
    RecordedEvent, Revision, Timestamp, UserId,
};
use keyledger_tlog::export::{ExportWriter, Header, RANGE, Subset};
use keyledger_tlog::merkle::{Frontier, Node, Plan, root_of};
use keyledger_tlog::{Checkpoint, Entry, NoteSigningKey, NoteVerifyingKey, TreeHash};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub(crate) const ORIGIN: &str = "keys.example.com/production";

/// Texts that JSON can encode in more than one way, or that look like parts of a line.
const NAMES: [&str; 5] =
    ["ci bot", "\"key_hash\":\"00\"", "clé à molette 🔑", "back\\slash/", "{\"index\":3}"];

pub(crate) fn signing_key(seed: u8) -> NoteSigningKey {
    NoteSigningKey::from_seed(ORIGIN, [seed; 32].into()).unwrap()
}

pub(crate) fn public_key() -> NoteVerifyingKey {
    signing_key(1).verifying_key().clone()
}

/// Events and the tree over them.
pub(crate) struct History {
    pub(crate) events: Vec<RecordedEvent>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) leaves: Vec<TreeHash>,
    nodes: HashMap<Node, TreeHash>,
}

impl History {
    /// A history of this many events.
    pub(crate) fn generate(seed: u64, length: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut live: Vec<(KeyCreated, u32)> = Vec::new();
        let mut events = Vec::with_capacity(length);
        for number in 0..length {
            let now = Timestamp::from_unix_micros(
                1_900_000_000_000_000 + i64::try_from(number).unwrap() * 1_000_003,
            )
            .unwrap();
            let ends = !live.is_empty() && random.random_bool(0.4);
            let (event, revision) = if ends {
                let at = random.random_range(0..live.len());
                let (key, revision) = live[at].clone();
                live[at].1 += 1;
                let deleted = revision > 0;
                if deleted {
                    live.swap_remove(at);
                }
                (end(&key, now, deleted), revision + 1)
            } else {
                let created = create(&mut random, now);
                live.push((created.clone(), 0));
                (KeyEvent::Created(created), 0)
            };
            events.push(record(&mut random, number, event, revision));
        }
        Self::of(events)
    }

    pub(crate) fn of(events: Vec<RecordedEvent>) -> Self {
        let entries: Vec<_> = events.iter().map(|event| Entry::of(event).unwrap()).collect();
        let leaves: Vec<_> = entries.iter().map(Entry::hash).collect();
        let mut nodes = HashMap::new();
        let mut frontier = Frontier::default();
        for leaf in &leaves {
            frontier
                .append_with(*leaf, |node, hash| {
                    nodes.insert(node, hash);
                })
                .unwrap();
        }
        Self { events, entries, leaves, nodes }
    }

    fn gather(&self, plan: &Plan) -> Vec<TreeHash> {
        plan.gather(|node| Ok::<_, Infallible>(self.nodes[&node])).unwrap()
    }

    pub(crate) fn checkpoint(&self, size: usize) -> Checkpoint {
        let size = u64::try_from(size).unwrap();
        let root = self.gather(&Plan::root(size)).first().copied();
        Checkpoint {
            origin: ORIGIN.to_owned(),
            size,
            root: root.unwrap_or_else(TreeHash::empty),
            time: Some(Timestamp::from_unix_micros(1_950_000_000_000_000).unwrap()),
        }
    }

    pub(crate) fn header(&self, subset: Option<Subset>, events: usize) -> Header {
        let checkpoint = self.checkpoint(self.leaves.len());
        let note = checkpoint.sign([&signing_key(1)]).unwrap().to_string();
        let events = u64::try_from(events).unwrap();
        Header::new(ORIGIN.to_owned(), subset, public_key().to_string(), note, events)
    }

    /// The export of all events.
    pub(crate) fn whole(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let header = self.header(None, self.entries.len());
        let mut writer = ExportWriter::begin(&header, &mut out).unwrap();
        let range = usize::try_from(RANGE).unwrap();
        let mut events = (0..).zip(self.entries.iter().zip(&self.leaves));
        for (number, leaves) in (0..).zip(self.leaves.chunks(range)) {
            for (index, (entry, leaf)) in events.by_ref().take(range) {
                writer.event(index, entry, *leaf, &mut out).unwrap();
            }
            writer.range(number, root_of(leaves.iter().copied()), &mut out);
        }
        writer.finish(&mut out).unwrap();
        out
    }

    /// The export of the events that meet the conditions.
    pub(crate) fn subset(&self, subset: Subset, fits: impl Fn(&RecordedEvent) -> bool) -> Vec<u8> {
        let mut out = Vec::new();
        let chosen: Vec<usize> =
            (0..self.events.len()).filter(|at| fits(&self.events[*at])).collect();
        let header = self.header(Some(subset), 0);
        let mut writer = ExportWriter::begin_uncounted(header, &mut out).unwrap();
        for at in chosen {
            let (index, size) =
                (u64::try_from(at).unwrap(), u64::try_from(self.leaves.len()).unwrap());
            let proof = self.gather(&Plan::inclusion(index, size).unwrap());
            let (entry, leaf) = (&self.entries[at], self.leaves[at]);
            writer.proven_event(index, entry, leaf, &proof, &mut out).unwrap();
        }
        let first = writer.finish(&mut out).unwrap().unwrap();
        out[..first.len()].copy_from_slice(&first);
        out
    }

    pub(crate) fn of_user(&self, user: &str) -> Vec<u8> {
        let subset = Subset { user_id: Some(user.to_owned()), ..Subset::default() };
        self.subset(subset, |event| event.event.owner().as_str() == user)
    }
}

fn create(random: &mut StdRng, now: Timestamp) -> KeyCreated {
    let name = NAMES[random.random_range(0..NAMES.len())];
    let expires = random.random_bool(0.5);
    let key_id = KeyId::generate(now, random);
    let details = KeyDetails {
        owner: UserId::parse(&format!("user-{}", random.random_range(0..20))).unwrap(),
        owner_email: None,
        name: KeyName::parse(name).unwrap(),
        prefix: DisplayPrefix::parse("orag_AbCdEfGh").unwrap(),
        hash: KeyHash::try_from(random.random::<[u8; 32]>().as_slice()).unwrap(),
        expires_at: expires.then(|| now.plus_seconds(86_400).unwrap()),
        hash_function: HashFunction::Sha256,
        source_id: None,
    };
    KeyCreated { key_id, details, occurred_at: now }
}

fn end(key: &KeyCreated, now: Timestamp, deleted: bool) -> KeyEvent {
    let (key_id, user_id) = (key.key_id, key.details.owner.clone());
    let reason = Reason::parse("the \"laptop\" was stolen").unwrap();
    if deleted {
        KeyEvent::Deleted(KeyDeleted { key_id, user_id, occurred_at: now, reason })
    } else {
        KeyEvent::Revoked(KeyRevoked { key_id, user_id, occurred_at: now, reason })
    }
}

fn record(random: &mut StdRng, number: usize, event: KeyEvent, revision: u32) -> RecordedEvent {
    let command = CommandId::generate(random);
    let metadata = Metadata {
        actor: event.owner().clone(),
        correlation_id: format!("request-{number}"),
        causation_id: command.as_uuid(),
        traceparent: None,
        client: random.random_bool(0.5).then(|| "curl/8.5.0".to_owned()),
    };
    RecordedEvent {
        position: Position::try_from(u64::try_from(number).unwrap()).unwrap(),
        revision: Revision::new(revision),
        id: command.event_id(0),
        event,
        metadata,
    }
}
