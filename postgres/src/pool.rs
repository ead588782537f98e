//! Connections for queries that only read.

use std::io::ErrorKind;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};

use crate::{CONNECT, Location, bounded, is_read_only, is_unreachable, session};

/// A few connections for queries that only read. A clone shares them.
#[derive(Clone, Debug)]
pub struct Pool {
    location: Location,
    connections: PgPool,
    most: u32,
}

impl Pool {
    /// Opens the first of at most `most` connections.
    ///
    /// # Errors
    /// The server's error, or that it does not answer.
    pub async fn open(location: &Location, most: u32) -> Result<Self, sqlx::Error> {
        let place = location.clone();
        let connections = PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(CONNECT)
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                session::set_up(connection).map(|set_up| set_up.map(drop)).boxed()
            })
            .before_acquire(move |_, connection| {
                let opened = Instant::now().checked_sub(connection.age);
                let is_outdated = opened.is_some_and(|opened| place.is_outdated(opened));
                std::future::ready(Ok(!is_outdated)).boxed()
            })
            .connect_with(location.options())
            .await?;
        Ok(Self { location: location.clone(), connections, most })
    }

    /// Runs a query that changes nothing. If the server has closed the connection in the meantime,
    /// only the query itself finds out: it is then sent again on another connection.
    ///
    /// # Errors
    /// The server's error, or that it does not answer.
    pub async fn ask<T>(
        &self,
        query: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let mut lost = 0;
        loop {
            let mut connection = self.connections.acquire().await?;
            let error = match bounded(query(&mut connection)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if is_read_only(&error) {
                self.location.renew();
            }
            if !is_unreachable(&error) {
                return Err(error);
            }
            // A statement may still be running on it, so it does not go back to the pool. The server
            // ends the statement by its own limit.
            drop(connection.detach());
            lost += 1;
            if lost > self.most || is_timeout(&error) {
                return Err(error);
            }
        }
    }
}

fn is_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(cause) if cause.kind() == ErrorKind::TimedOut)
}
