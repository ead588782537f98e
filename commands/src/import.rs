//! Importing a key from a former service.

use keyledger_domain::key::{Command, ImportKey, decide};

use crate::{CommandError, Commands, Origin, recorded_by};
use keyledger_domain::CommandId;
use keyledger_journal::{Append, Expected};

/// The result of importing a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The key was created.
    New,
    /// The key was imported before; this import revoked it.
    Revoked,
    /// The key was imported before; this import changed nothing.
    Known,
}

impl Commands {
    /// Imports a key. Most imported keys are new, so the first attempt does not read the key's
    /// stream.
    ///
    /// # Errors
    /// Every variant of [`CommandError`] but those of idempotency keys.
    pub async fn import(
        &self,
        import: ImportKey,
        origin: &Origin,
    ) -> Result<Imported, CommandError> {
        let key_id = import.key_id();
        let command = Command::Import(import);
        // The events have the dates of the former service. The id says when they were recorded.
        let now = self.now()?;
        let command_id = self.with_random(|random| CommandId::at(now, random));
        let events = decide(None, &command, now)?;
        let events = recorded_by(command_id, command_id.as_uuid(), events, origin);
        let append = Append { key_id, expected: Expected::NoStream, events };
        if self.append(append).await?.is_some() {
            return Ok(Imported::New);
        }
        let done = self.execute(key_id, &command, origin).await?;
        Ok(if done.has_changed { Imported::Revoked } else { Imported::Known })
    }
}
