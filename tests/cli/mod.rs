//! The executable itself: its settings, its commands, how it starts and stops.

mod configuration;
mod rebuild;
mod running;
mod secrets;
