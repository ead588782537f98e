//! The executable itself: its settings, its commands, how it starts and stops.

mod authorities;
mod check;
mod configuration;
mod rebuild;
mod running;
mod secret_files;
mod secrets;
