//! The streams that events and checkpoints are published to.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State as ConnectionState;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectOptions};

use keyledger_domain::chain;

use super::{ANSWER, NatsError};
use crate::nats::settings::{NatsSettings, Topic};

/// How long the server remembers the ids of messages, so that it ignores those sent again.
const DUPLICATES: Duration = Duration::from_secs(120);

/// The stream exists, but its configuration is not the one that keyledger needs.
#[derive(Debug, thiserror::Error)]
#[error(
    "the stream {stream} has a configuration that keyledger cannot use: {}; change it, or set \
     KEYLEDGER_NATS_STREAM to the name of another stream", .differences.join(", ")
)]
pub struct StreamDiffers {
    stream: String,
    differences: Vec<String>,
}

/// Connects to the servers.
pub(super) async fn connect(settings: &NatsSettings) -> Result<Client, NatsError> {
    let mut options = ConnectOptions::new()
        .name("keyledger")
        .connection_timeout(ANSWER)
        .request_timeout(Some(ANSWER))
        .tls_client_config(tls());
    if let Some(path) = &settings.credentials {
        options = options.credentials_file(path).await.map_err(NatsError::nats)?;
    }
    let servers: Vec<&str> = settings.url.split(',').map(str::trim).collect();
    options.connect(servers).await.map_err(NatsError::nats)
}

/// The configuration that a stream must have.
fn wanted(settings: &NatsSettings, topic: Topic) -> Config {
    Config {
        name: settings.stream_of(topic),
        subjects: vec![topic.subjects().to_owned()],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        num_replicas: settings.replicas,
        duplicate_window: DUPLICATES,
        deny_delete: true,
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        max_consumers: -1,
        ..Config::default()
    }
}

/// TLS with the system's certificates. The crypto provider is given explicitly, because the process's
/// default one depends on what other code has installed before.
fn tls() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone());
    match config.with_safe_default_protocol_versions() {
        Ok(config) => config.with_root_certificates(roots).with_no_client_auth(),
        // Not reachable: the provider supports all default protocol versions.
        Err(_) => {
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
        }
    }
}

pub(super) fn context(client: &Client) -> Context {
    ContextBuilder::new().timeout(ANSWER).ack_timeout(ANSWER).build(client.clone())
}

/// Opens the stream, creates it if it is missing, and compares its configuration with the wanted one.
/// A stream that was just created is compared too: old servers ignore settings that they do not know.
pub(super) async fn open(
    client: &Client,
    settings: &NatsSettings,
    topic: Topic,
) -> Result<(Context, Stream), NatsError> {
    let context = context(client);
    let wanted = wanted(settings, topic);
    let stream = match context.get_stream(&wanted.name).await {
        Ok(stream) => stream,
        Err(error) if is_missing(&error) => {
            let created = context.create_stream(wanted.clone()).await;
            created.map_err(NatsError::nats)?;
            context.get_stream(&wanted.name).await.map_err(NatsError::nats)?
        }
        Err(error) => return Err(NatsError::nats(error)),
    };
    let found = stream.get_info().await.map_err(NatsError::nats)?.config;
    let differences = differences(&wanted, &found);
    if differences.is_empty() {
        return Ok((context, stream));
    }
    Err(StreamDiffers { stream: wanted.name, differences }.into())
}

/// Creates streams that are missing, and checks the configuration of all of them. If NATS cannot be
/// reached within 3 s this only logs a warning, since the publishers try again.
///
/// # Errors
/// [`StreamDiffers`] for the first stream with a wrong configuration.
pub async fn check(settings: &NatsSettings, topics: &[Topic]) -> Result<(), StreamDiffers> {
    let opening = async {
        let client = connect(settings).await?;
        for topic in topics {
            open(&client, settings, *topic).await?;
        }
        Ok(())
    };
    match tokio::time::timeout(ANSWER, opening).await {
        Ok(Err(NatsError::Differs(differs))) => return Err(differs),
        Ok(Err(error)) => tracing::warn!(cause = %chain(&error), "NATS cannot be used yet"),
        Err(_) => tracing::warn!("NATS does not answer yet"),
        Ok(Ok(())) => {}
    }
    Ok(())
}

/// Fails if the client has lost its connection. The client reconnects by itself and reports nothing.
pub(super) fn check_connected(client: &Client) -> Result<(), NatsError> {
    match client.connection_state() {
        ConnectionState::Connected => Ok(()),
        ConnectionState::Pending | ConnectionState::Disconnected => {
            Err(NatsError::nats("the connection is lost"))
        }
    }
}

fn is_missing(error: &async_nats::jetstream::context::GetStreamError) -> bool {
    use async_nats::jetstream::context::GetStreamErrorKind;
    match error.kind() {
        GetStreamErrorKind::JetStream(error) => error.error_code() == ErrorCode::STREAM_NOT_FOUND,
        GetStreamErrorKind::EmptyName
        | GetStreamErrorKind::InvalidStreamName
        | GetStreamErrorKind::Request => false,
    }
}

/// The settings in which the two configurations differ, each with both values.
fn differences(wanted: &Config, found: &Config) -> Vec<String> {
    let mut differences = Vec::new();
    macro_rules! compare {
        ($($field:ident),*) => {
            $(
                if wanted.$field != found.$field {
                    differences.push(format!(
                        "{} is {:?}, not {:?}", stringify!($field), found.$field, wanted.$field
                    ));
                }
            )*
        };
    }
    compare!(
        subjects,
        storage,
        retention,
        discard,
        num_replicas,
        duplicate_window,
        deny_delete,
        max_age,
        max_bytes,
        max_messages,
        max_messages_per_subject,
        max_message_size,
        no_ack,
        sealed,
        mirror,
        sources
    );
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_with_both_values() {
        let wanted = Config { num_replicas: 3, deny_delete: true, ..Config::default() };
        let found = Config { num_replicas: 1, deny_delete: true, ..Config::default() };
        assert_eq!(differences(&wanted, &found), ["num_replicas is 1, not 3"]);
        assert!(differences(&wanted, &wanted).is_empty());
    }
}
