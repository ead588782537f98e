//! Takes over addresses of owners that have changed at the identity provider.

use std::sync::Arc;

use keyledger_commands::{CommandError, Commands};
use keyledger_domain::key::{ChangeOwnerEmail, Command};
use keyledger_domain::{Clock, Timestamp, chain};
use keyledger_http::{Owners, SignIn, SignIns};
use keyledger_node::backoff::Backoff;
use keyledger_projections::QueryError;
use tokio::sync::mpsc;

/// Why an address is not taken over for now.
#[derive(Debug, thiserror::Error)]
enum AddressError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Compares the address of each sign-in with those of the user's keys, one sign-in after the other, for as
/// long as the process lives. What fails is forgotten, so that the user's next request tries it again.
pub(super) async fn take_addresses(
    mut queue: mpsc::Receiver<SignIn>,
    sign_ins: SignIns,
    owners: Owners,
    commands: Arc<Commands>,
    clock: Arc<dyn Clock>,
) {
    let mut backoff = None;
    while let Some(sign_in) = queue.recv().await {
        match take_address(&sign_in, &owners, &commands, clock.now()).await {
            Ok(()) => {
                if backoff.take().is_some() {
                    tracing::info!("owners' addresses are taken over again");
                }
            }
            Err(error) => {
                sign_ins.forget(&sign_in);
                if backoff.is_none() {
                    tracing::warn!(
                        cause = %chain(&error),
                        "owners' addresses cannot be taken over; their next requests try again"
                    );
                }
                backoff.get_or_insert_with(Backoff::new).wait().await;
            }
        }
    }
}

/// Changes the address of the user's keys that have another one. The tables name the keys, and each key's own
/// events decide.
async fn take_address(
    sign_in: &SignIn,
    owners: &Owners,
    commands: &Commands,
    now: Timestamp,
) -> Result<(), AddressError> {
    let SignIn { user_id, email, token_issued_at, origin } = sign_in;
    let mut after = None;
    loop {
        let (keys, next) = owners.with_another_address(user_id, email, now, after).await?;
        for key_id in keys {
            let command = Command::ChangeOwnerEmail(ChangeOwnerEmail {
                key_id,
                owner: user_id.clone(),
                email: email.clone(),
                token_issued_at: *token_issued_at,
            });
            match commands.execute(key_id, &command, origin).await {
                Ok(_) => {}
                Err(
                    error @ (CommandError::Contended
                    | CommandError::Unavailable(_)
                    | CommandError::OutcomeUnknown(_)),
                ) => return Err(error.into()),
                // Nothing can be written to the key's stream, now or later.
                Err(error) => {
                    tracing::debug!(key.id = %key_id, %error, "an owner's address is not taken over");
                }
            }
        }
        match next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}
