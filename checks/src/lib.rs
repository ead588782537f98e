//! What is found at the places that the service uses, such as databases and files: whether it would work with
//! them, and why not. Nothing is changed there.

#![deny(missing_docs)]

pub mod files;
mod found;
pub mod postgres;
pub mod sqlite;

pub use found::{Found, Migrations};
