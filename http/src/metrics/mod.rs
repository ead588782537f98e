//! Metrics, in the text format of OpenMetrics 1.0, which Prometheus reads, and in its older one.

mod busy;
mod plain;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use keyledger_domain::key::Verdict;
use keyledger_domain::{Clock, Position};
use keyledger_verifier::{Clocks, Index};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;

use busy::BusyCounter;
use keyledger_node::History;
use keyledger_node::readiness::{Readiness, State};
use keyledger_node::tasks::{Head, IndexMetrics};
pub(crate) use plain::plain;

/// The metrics that are updated as things happen; cheap to clone.
#[derive(Clone, Debug)]
pub struct Counters {
    verdicts: Arc<[(Verdict, BusyCounter); Verdict::ALL.len()]>,
    /// The number of verifications that could not be answered.
    pub unknown: Counter,
    /// The number of appends that the journal did not take, or of which it did not tell.
    pub append_failures: Counter,
    /// The number of proofs that were not given because the stored tree is damaged.
    pub damaged_proofs: Counter,
    /// What the follower of the verification index measures.
    pub index: IndexMetrics,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            verdicts: Arc::new(Verdict::ALL.map(|verdict| (verdict, BusyCounter::default()))),
            unknown: Counter::default(),
            append_failures: Counter::default(),
            damaged_proofs: Counter::default(),
            index: IndexMetrics {
                revocation_lag: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
                closed: Gauge::default(),
            },
        }
    }
}

impl Counters {
    /// Counts a verification with this verdict.
    pub fn verdict(&self, verdict: Verdict) {
        let mut counters = self.verdicts.iter();
        if let Some((_, counter)) = counters.find(|(known, _)| *known == verdict) {
            counter.inc();
        }
    }

    fn register(&self, registry: &mut Registry) {
        let answers = Family::<[(&'static str, &'static str); 1], Counter>::default();
        for (verdict, counter) in &*self.verdicts {
            answers.get_or_create(&[("code", verdict.code())]).inc_by(counter.get());
        }
        answers.get_or_create(&[("code", "UNKNOWN")]).inc_by(self.unknown.get());
        registry.register("verifications", "Keys that were verified, by the answer", answers);
        registry.register_with_unit(
            "revocation_lag",
            "How long after its revocation or deletion a key is refused here",
            Unit::Seconds,
            self.index.revocation_lag.clone(),
        );
        registry.register(
            "closed_keys",
            "Keys that are refused since the journal cannot tell their state any more",
            self.index.closed.clone(),
        );
    }
}

/// The sources of all metrics, which are read on each scrape; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The states of the parts.
    pub readiness: Readiness,
    /// What this node has followed.
    pub history: History,
    /// Tells the current time.
    pub clock: Arc<dyn Clock>,
    /// The journal's head, as last asked for.
    pub head: watch::Receiver<Option<Head>>,
    /// The position up to which this node has published all events; `None` while it does not publish.
    pub relayed: watch::Receiver<Option<Position>>,
    /// How many events the stream that this node publishes to was found to lack; `None` while this is
    /// not known.
    pub missing: watch::Receiver<Option<u64>>,
    /// Tells how many log lines were dropped because nobody took them.
    pub dropped_lines: fn() -> u64,
    /// The metrics that are updated as things happen.
    pub counters: Counters,
}

impl Metrics {
    /// All metrics as text.
    ///
    /// # Errors
    /// The encoder's error; writing to a `String` never causes one.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("keyledger");
        for (name, help, counted) in [
            ("part_ready", "Whether a part of the service can do its work", State::Ready),
            ("part_stopped", "Whether a part does not try again by itself", State::Stopped),
        ] {
            let parts = Family::<[(&'static str, &'static str); 1], Gauge>::default();
            for (part, state) in self.readiness.parts() {
                parts.get_or_create(&[("part", part.name())]).set(i64::from(state == counted));
            }
            registry.register(name, help, parts);
        }
        let ready = gauge(i64::from(self.readiness.is_ready()));
        registry.register("ready", "Whether the service can do its work", ready);
        let read = gauge(self.history.tables().current().as_i64());
        registry.register("read_position", "The journal position that queries include", read);
        let positions = [
            (
                "journal_position",
                "The journal's head, as last asked for",
                self.head.borrow().map(|head| head.position),
            ),
            (
                "relay_position",
                "The journal position up to which this node has published all events",
                *self.relayed.borrow(),
            ),
        ];
        for (name, help, position) in positions {
            if let Some(position) = position {
                registry.register(name, help, gauge(position.as_i64()));
            }
        }
        registry.register(
            "append_failures",
            "Appends that the journal did not take, or of which it did not tell",
            self.counters.append_failures.clone(),
        );
        registry.register(
            "damaged_proofs",
            "Proofs that were not given because the stored tree is damaged",
            self.counters.damaged_proofs.clone(),
        );
        let dropped = Counter::<u64>::default();
        dropped.inc_by((self.dropped_lines)());
        registry.register("log_lines_dropped", "Log lines that nobody took", dropped);
        if let Some(missing) = *self.missing.borrow() {
            let missing = gauge(i64::try_from(missing).unwrap_or(i64::MAX));
            registry.register("relay_missing", "Events that the stream was found to lack", missing);
        }
        let changes = Counter::<u64>::default();
        changes.inc_by(self.history.generation());
        let help =
            "How often the journal was found to have another history than this node has followed";
        registry.register("history_changes", help, changes);
        let verification = self.history.verification();
        if let Some(index) = verification.index() {
            self.counters.register(&mut registry);
            let unverifiable = gauge(verification.unverifiable().into());
            let help = "Imported keys that are refused because no secret of their hashes is known";
            registry.register("unverifiable_keys", help, unverifiable);
            let staleness = verification.staleness(Clocks::now(self.clock.now()));
            register_index(index, staleness, &mut registry);
        }
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

fn register_index(index: &Index, staleness: Option<Duration>, registry: &mut Registry) {
    registry.register("index_keys", "The keys that the index holds", gauge(index.len().into()));
    let reached = gauge(index.reached().as_i64());
    registry.register("index_position", "The journal position that verifications include", reached);
    let waiting = gauge(i64::try_from(index.uses_waiting()).unwrap_or(i64::MAX));
    registry.register("uses_waiting", "Keys whose last use waits to be recorded", waiting);
    if let Some(staleness) = staleness {
        let seconds = Gauge::<f64, AtomicU64>::default();
        seconds.set(staleness.as_secs_f64());
        registry.register_with_unit(
            "index_staleness",
            "The time since the newest moment up to which the index is proven to include every event",
            Unit::Seconds,
            seconds,
        );
    }
}

fn gauge(value: i64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(value);
    gauge
}
