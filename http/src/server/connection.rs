//! How long a connection stays open.

use std::fmt::Display;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use keyledger_domain::{Clock, Timestamp};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::activity::{Activity, Due};
use super::room::Room;

/// How long a connection that was idle may take to close in order.
const CLOSING: Duration = Duration::from_secs(5);

/// Runs a connection to its end, which comes in order once `closing` is closed.
pub(super) async fn keep<C>(connection: C, clock: &dyn Clock, mut closing: watch::Receiver<()>)
where
    C: GracefulConnection<Error: Display>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        () = run(connection.as_mut(), clock) => {}
        // Nothing is ever sent: this waits until it is closed.
        _ = closing.changed() => {
            connection.as_mut().graceful_shutdown();
            run(connection, clock).await;
        }
    }
}

/// The same. Ends the connection too when it is idle for too long or must make room for another, and cuts
/// it off when its caller does not read.
pub(super) async fn watch<C>(
    connection: C,
    activity: &Activity,
    room: &Room,
    clock: &dyn Clock,
    mut closing: watch::Receiver<()>,
) where
    C: GracefulConnection<Error: Display>,
{
    let mut connection = pin!(connection);
    let is_stopping = loop {
        let due = activity.due();
        tokio::select! {
            biased;
            () = run(connection.as_mut(), clock) => return,
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
    let ended = run(connection, clock);
    if is_stopping {
        ended.await;
    } else {
        let _ = timeout(CLOSING, ended).await;
    }
}

/// Runs a connection to its end. While the clock is out of range, hyper panics, since it cannot tell the date
/// of an answer, and nothing that expires can be told from what does not: then the connection ends at once.
async fn run<C>(mut connection: Pin<&mut C>, clock: &dyn Clock)
where
    C: GracefulConnection<Error: Display>,
{
    let ended = poll_fn(|context| {
        if clock.now() == Timestamp::MAX {
            return Poll::Ready(None);
        }
        connection.as_mut().poll(context).map(Some)
    });
    if let Some(Err(error)) = ended.await {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Waits until the connection is to be closed.
async fn passed(due: Due) {
    match due {
        Due::Idle(at) | Due::Unread(at) => sleep_until(at).await,
        Due::Never => std::future::pending().await,
    }
}
