//! The secret of the installation: the first event of a stream of its own.

use eventstore::{Error, EventData, ExpectedRevision, ReadStreamOptions, StreamPosition};
use keyledger_domain::InstallationSecret;

use super::append::{append_error, write};
use super::connection::Connection;
use super::mistakes::{Right, cause};
use crate::{AppendError, ReadError};

const STREAM: &str = "keyledger-installation";

pub(super) async fn secret(
    connection: &Connection,
) -> Result<Option<InstallationSecret>, ReadError> {
    let options = ReadStreamOptions::default().position(StreamPosition::Start).max_count(1);
    let options = connection.signed(options);
    let read =
        connection.ask(async |client| client.read_stream(STREAM, &options).await?.next().await);
    let first = match read.await {
        Ok(first) => first.and_then(|first| first.event),
        Err(Error::ResourceNotFound) => None,
        Err(error) => return Err(ReadError::Unavailable(cause(error, Right::ReadAll))),
    };
    let secret = first.map(|first| InstallationSecret::try_from(&*first.data)).transpose();
    secret.map_err(|error| ReadError::Unavailable(error.into()))
}

pub(super) async fn keep(
    connection: &Connection,
    new: InstallationSecret,
) -> Result<InstallationSecret, AppendError> {
    let event = EventData::binary(STREAM, new.as_bytes().to_vec().into());
    match write(connection, STREAM, ExpectedRevision::NoStream, vec![event]).await {
        // Of several, the first one counts.
        Ok(_) | Err(Error::WrongExpectedVersion { .. }) => {}
        Err(error) => return Err(append_error(error)),
    }
    let kept = secret(connection).await.map_err(|error| AppendError::Ambiguous(error.into()))?;
    kept.ok_or_else(|| AppendError::Ambiguous("the secret that was kept is not there".into()))
}
