//! What is measured, in the form of OpenMetrics 1.0, which Prometheus reads.

use keyledger_domain::Position;
use keyledger_projections::Progress;
use prometheus_client::encoding::text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::readiness::{Readiness, State};

/// Where the values come from; they are asked for at each look. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// What each part can do.
    pub readiness: Readiness,
    /// How far this node's queries are.
    pub progress: Progress,
    /// The journal's head, as last asked for.
    pub head: watch::Receiver<Option<Position>>,
    /// How far events are published, by this node.
    pub relayed: watch::Receiver<Option<Position>>,
}

impl Metrics {
    /// All metrics as text.
    ///
    /// # Errors
    /// None that a text could have.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("keyledger");
        let parts = Family::<[(&'static str, &'static str); 1], Gauge>::default();
        for (part, state) in self.readiness.parts() {
            let is_ready = i64::from(state == State::Ready);
            parts.get_or_create(&[("part", part.name())]).set(is_ready);
        }
        registry.register("part_ready", "Whether a part of the service can do its work", parts);
        let ready = gauge(i64::from(self.readiness.is_ready()));
        registry.register("ready", "Whether the service can do its work", ready);
        let read = gauge(self.progress.current().as_i64());
        registry.register("read_position", "The journal position that queries include", read);
        let positions = [
            ("journal_position", "The journal's head, as last asked for", *self.head.borrow()),
            (
                "relay_position",
                "The last position that this node published",
                *self.relayed.borrow(),
            ),
        ];
        for (name, help, position) in positions {
            if let Some(position) = position {
                registry.register(name, help, gauge(position.as_i64()));
            }
        }
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

fn gauge(value: i64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(value);
    gauge
}
