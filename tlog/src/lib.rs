//! The transparency log: the canonical form of an event, the Merkle tree over all events, signed
//! checkpoints of the tree, and exports that can be checked offline.
//!
//! Everything here is synchronous and needs no database, network or runtime; other crates store the
//! tree. `docs/audit.md` specifies the formats byte by byte, so that a checker can be written in
//! any language. The formats never change.

mod checkpoint;
mod checkpoint_file;
mod entry;
pub mod export;
mod log_keys;
mod mangling;
pub mod merkle;
mod note;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use checkpoint_file::{CheckpointFile, CheckpointFileError, split_notes};
pub use entry::{Entry, EntryError};
pub use log_keys::{LogKeys, LogKeysError};
pub use mangling::Mangling;
pub use merkle::TreeHash;
pub use note::{Note, NoteError, NoteKeyError, NoteSigningKey, NoteVerifyingKey};
