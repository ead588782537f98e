//! The transparency log: its checkpoints, exports and their check.

mod agreement;
mod alterations;
mod checkpoints;
mod csv;
mod every_byte;
mod exports;
mod journals;
mod nodes;
mod publishing;
mod repairs;
mod rotation;
mod stopping;
mod tampering;
mod walkthrough;
