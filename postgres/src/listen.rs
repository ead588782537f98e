//! Receives notifications (`LISTEN`), which are only hints that there may be something to read.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::task::JoinHandle;

use crate::{CONNECT, Location};

/// The wait before the next attempt to listen.
const PAUSE: Duration = Duration::from_secs(1);

/// What a [`Listener`] passes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// A notification with this payload.
    Received(String),
    /// The connection is new, or was lost: notifications may have been missed before this.
    PossiblyMissed,
}

/// A task that listens to one channel until this value is dropped. It connects again after a failure.
#[derive(Debug)]
pub struct Listener(JoinHandle<()>);

impl Listener {
    /// Starts to listen to a channel. Notifications can be lost without any sign of it, so the caller
    /// must also look for changes at intervals.
    #[must_use]
    pub fn start(
        location: &Location,
        channel: &'static str,
        on_notification: impl Fn(Notification) + Send + Sync + 'static,
    ) -> Self {
        let location = location.clone();
        Self(tokio::spawn(async move {
            loop {
                tokio::select! {
                    Err(error) = listen(&location, channel, &on_notification) => {
                        tracing::debug!(%error, channel, "notifications interrupted; listening again");
                    }
                    () = location.renewed() => {}
                }
                tokio::time::sleep(PAUSE).await;
            }
        }))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn listen(
    location: &Location,
    channel: &str,
    on_notification: &(impl Fn(Notification) + Sync),
) -> Result<Infallible, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT);
    let pool = pool.connect_with(location.options()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(channel).await?;
    loop {
        on_notification(Notification::PossiblyMissed);
        // `None` means that the connection was lost; the next call connects again.
        while let Some(notification) = listener.try_recv().await? {
            on_notification(Notification::Received(notification.payload().to_owned()));
        }
    }
}
