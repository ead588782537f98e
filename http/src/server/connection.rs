//! How long a connection stays open.

use std::fmt::Display;
use std::pin::pin;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::activity::{Activity, Due};
use super::room::Room;

/// How long a connection that was idle may take to close in order.
const CLOSING: Duration = Duration::from_secs(5);

/// Runs a connection to its end, which comes in order once `closing` is closed.
pub(super) async fn keep<C>(connection: C, mut closing: watch::Receiver<()>)
where
    C: GracefulConnection<Error: Display>,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        // Nothing is ever sent: this waits until it is closed.
        _ = closing.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    tell(ended);
}

/// The same. Ends the connection too when it is idle for too long or must make room for another, and cuts
/// it off when its caller does not read.
pub(super) async fn watch<C>(
    connection: C,
    activity: &Activity,
    room: &Room,
    mut closing: watch::Receiver<()>,
) where
    C: GracefulConnection<Error: Display>,
{
    let mut connection = pin!(connection);
    let is_stopping = loop {
        let due = activity.due();
        tokio::select! {
            biased;
            ended = &mut connection => return tell(ended),
            _ = closing.changed() => break true,
            () = activity.changed() => {}
            () = passed(due) => match (due, activity.due()) {
                (Due::Unread(before), Due::Unread(now)) if now <= before => {
                    tracing::debug!("connection cut off: its caller does not read");
                    return;
                }
                (Due::Idle(before), Due::Idle(now)) if now <= before => break false,
                // A part of an answer was read meanwhile.
                _ => {}
            },
            () = room.is_wanted(), if matches!(due, Due::Idle(_)) => break false,
        }
    };
    connection.as_mut().graceful_shutdown();
    if is_stopping {
        tell(connection.await);
    } else if let Ok(ended) = timeout(CLOSING, connection).await {
        tell(ended);
    }
}

/// Waits until the connection is to be closed.
async fn passed(due: Due) {
    match due {
        Due::Idle(at) | Due::Unread(at) => sleep_until(at).await,
        Due::Never => std::future::pending().await,
    }
}

fn tell(ended: Result<(), impl Display>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}
