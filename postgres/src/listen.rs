//! Notifications, as hints that it is worth looking.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::task::JoinHandle;

use crate::{CONNECT, Place};

/// The wait before another try to listen.
const PAUSE: Duration = Duration::from_secs(1);

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Someone has said this.
    Said(String),
    /// Something may have been said that was not heard.
    Interruption,
}

/// Listens for as long as it lives.
#[derive(Debug)]
pub struct Listening(JoinHandle<()>);

impl Listening {
    /// Listens to a channel. A notification may be lost without a sign, so what it tells of must be
    /// looked for now and then all the same.
    #[must_use]
    pub fn start(
        place: &Place,
        channel: &'static str,
        heard: impl Fn(Heard) + Send + Sync + 'static,
    ) -> Self {
        let place = place.clone();
        Self(tokio::spawn(async move {
            loop {
                let Err(error) = listen(&place, channel, &heard).await;
                tracing::debug!(%error, channel, "notifications interrupted");
                tokio::time::sleep(PAUSE).await;
            }
        }))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn listen(
    place: &Place,
    channel: &str,
    heard: &(impl Fn(Heard) + Sync),
) -> Result<std::convert::Infallible, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT);
    let pool = pool.connect_with(place.options()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(channel).await?;
    loop {
        heard(Heard::Interruption);
        while let Some(notification) = listener.try_recv().await? {
            heard(Heard::Said(notification.payload().to_owned()));
        }
    }
}
