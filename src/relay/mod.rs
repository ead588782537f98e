//! The relay: passes the journal's events on to consumers outside, each once and in order.
//!
//! It is a second reader of the journal and no part of any request: while the outlet is down, events
//! wait in the journal. This module has the public form of an event's message; [`nats`] is the one
//! outlet that there is.

mod cloud_event;
pub mod nats;
