//! History that proves itself: the canonical form of an event, the Merkle tree over all of them,
//! signed checkpoints of the tree, and exports that can be checked offline.
//!
//! Everything here is pure and synchronous; whoever stores the tree, signs its checkpoints or
//! reads a file stands around it. The forms are documented byte by byte in `docs/audit.md`, from
//! which a checker can be written in any language; they never change.

mod checkpoint;
mod checkpoint_file;
pub mod export;
mod leaf;
mod log_keys;
pub mod merkle;
mod note;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use checkpoint_file::{append_note, split_notes};
pub use leaf::{Entry, EntryError};
pub use log_keys::{LogKeys, LogKeysError};
pub use merkle::TreeHash;
pub use note::{Note, NoteError, NoteKeyError, SigningKey, VerifyingKey};
