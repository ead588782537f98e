//! Connections for questions.

use std::io::ErrorKind;

use futures::future::BoxFuture;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};

use crate::{CONNECT, Place, bounded, is_lost};

/// A few connections, for questions that only read; cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool {
    connections: PgPool,
    most: u32,
}

impl Pool {
    /// Opens the first of up to `most` connections.
    ///
    /// # Errors
    /// The server's error, or that it does not answer.
    pub async fn open(place: &Place, most: u32) -> Result<Self, sqlx::Error> {
        let connections = PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(CONNECT)
            .test_before_acquire(false)
            .connect_with(place.options())
            .await?;
        Ok(Self { connections, most })
    }

    /// Asks a question that changes nothing. That the server has closed a connection meanwhile is
    /// noticed only now: the question is asked again, on another one.
    ///
    /// # Errors
    /// The server's error, or that it does not answer.
    pub async fn ask<T>(
        &self,
        question: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let mut lost = 0;
        loop {
            let mut connection = self.connections.acquire().await?;
            let error = match bounded(question(&mut connection)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !is_lost(&error) {
                return Err(error);
            }
            // Nobody may use what is in the midst of something else.
            drop(connection.detach());
            lost += 1;
            if lost > self.most || is_late(&error) {
                return Err(error);
            }
        }
    }
}

fn is_late(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(cause) if cause.kind() == ErrorKind::TimedOut)
}
