//! The relay: publishes the journal's events to consumers outside, each once and in order.
//!
//! It follows the journal and takes part in no request. While the outlet cannot be reached, events
//! stay in the journal. `cloud_event` has the form of messages; [`nats`] is the only outlet.

mod cloud_event;
pub mod nats;
