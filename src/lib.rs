//! keyledger: API keys for a product's public API, kept as a ledger of events.
//!
//! This crate holds the write side and the edges; the rules are in `keyledger-domain`, the read
//! side is in `keyledger-projections`. ARCHITECTURE.md shows how they fit together.

/// Most of what a request costs beside the kernel is many small allocations; this allocator takes a
/// tenth off the whole.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod audit;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod development;
pub mod http;
pub mod identity;
pub mod metrics;
pub mod node;
pub mod relay;
pub mod service;
pub mod telemetry;
