//! The streams that events and checkpoints are published to.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State as ConnectionState;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, RawMessageErrorKind, RetentionPolicy, StorageType,
    Stream,
};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectOptions, ServerAddr};
use tokio::time::Instant;

use keyledger_checks::Found;
use keyledger_domain::chain;

use super::{ANSWER, NatsError};
use crate::nats::settings::{NatsSettings, Topic};

/// How often a stream is inspected while nothing is published. With the answer's limit, a change is
/// noticed within 8 s.
const INSPECT: Duration = Duration::from_secs(4);
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
    let options = settings.servers.log_in(options);
    options.connect(settings.servers.addresses()).await.map_err(NatsError::nats)
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

/// What to do if a stream does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfMissing {
    Create,
    /// Fail: messages were published to it, so that a new stream would hide their loss.
    Fail,
}

/// Opens the stream, and compares its configuration with the wanted one. A stream that was just created
/// is compared too: old servers ignore settings that they do not know.
pub(super) async fn open(
    client: &Client,
    settings: &NatsSettings,
    topic: Topic,
    if_missing: IfMissing,
) -> Result<(Context, Stream), NatsError> {
    let context = context(client);
    let stream = match inspect(&context, settings, topic).await {
        Err(NatsError::Gone(_)) if if_missing == IfMissing::Create => {
            let created = context.create_stream(wanted(settings, topic)).await;
            created.map_err(NatsError::nats)?;
            inspect(&context, settings, topic).await?
        }
        found => found?,
    };
    Ok((context, stream))
}

/// The stream with its present state, if it exists and its configuration is the wanted one.
pub(super) async fn inspect(
    context: &Context,
    settings: &NatsSettings,
    topic: Topic,
) -> Result<Stream, NatsError> {
    let wanted = wanted(settings, topic);
    let stream = find(context, &wanted.name).await?;
    let Some(stream) = stream else { return Err(NatsError::Gone(wanted.name)) };
    let differences = differences(&wanted, &stream.cached_info().config);
    if differences.is_empty() {
        return Ok(stream);
    }
    Err(StreamDiffers { stream: wanted.name, differences }.into())
}

/// The stream of this name with its present state; `None` if there is none.
pub(super) async fn find(context: &Context, name: &str) -> Result<Option<Stream>, NatsError> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(NatsError::nats(error)),
    }
}

/// The message with this sequence; `None` if it was removed.
pub(super) async fn message(
    stream: &Stream,
    sequence: u64,
) -> Result<Option<StreamMessage>, NatsError> {
    found(stream.get_raw_message(sequence).await)
}

/// The last message that the stream still has; `None` if it has none. Messages after it may have been
/// removed, so its sequence may be lower than the stream's last one. The stream's leader answers.
pub(super) async fn last_message(
    stream: &Stream,
    topic: Topic,
) -> Result<Option<StreamMessage>, NatsError> {
    last_on(stream, topic.subjects()).await
}

/// The last message on a subject, which may have wildcards.
pub(super) async fn last_on(
    stream: &Stream,
    subject: &str,
) -> Result<Option<StreamMessage>, NatsError> {
    found(stream.get_last_raw_message_by_subject(subject).await)
}

/// The first message that the stream has from this sequence on.
pub(super) async fn next_message(
    stream: &Stream,
    topic: Topic,
    sequence: u64,
) -> Result<Option<StreamMessage>, NatsError> {
    let message = stream.raw_message_builder().sequence(sequence);
    found(message.next_by_subject(topic.subjects()).send().await)
}

fn found(
    message: Result<StreamMessage, async_nats::error::Error<RawMessageErrorKind>>,
) -> Result<Option<StreamMessage>, NatsError> {
    match message {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(NatsError::nats(error)),
    }
}

/// Checks the configuration of the streams that exist. If NATS cannot be reached within 3 s this only
/// logs a warning, since the publishers try again.
///
/// # Errors
/// [`StreamDiffers`] for the first stream with a wrong configuration.
pub async fn check(settings: &NatsSettings, topics: &[Topic]) -> Result<(), StreamDiffers> {
    let opening = async {
        let context = context(&connect(settings).await?);
        for topic in topics {
            match inspect(&context, settings, *topic).await {
                // The publisher knows whether it may create it.
                Ok(_) | Err(NatsError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
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

/// Looks at the servers, and at the streams of these topics, without a change.
pub async fn examine(settings: &NatsSettings, topics: &[Topic]) -> Found {
    let mut found = Found::at("NATS", settings.servers.to_string());
    let client = match connect(settings).await {
        Ok(client) => client,
        Err(error) => return found.with_problem(unusable(&error)),
    };
    let server = client.server_info();
    found.version = Some(server.version.clone());
    let asks = settings.servers.addresses().iter().all(ServerAddr::tls_required);
    found.is_encrypted = Some(server.tls_required || asks);
    if !server.jetstream {
        return found.with_problem("the server has no JetStream");
    }
    let context = context(&client);
    for topic in topics {
        let name = settings.stream_of(*topic);
        match inspect(&context, settings, *topic).await {
            Ok(_) => found.notes.push(format!("there is a stream {name}")),
            Err(NatsError::Gone(_)) => found.notes.push(format!(
                "there is no stream {name}: the service makes it, unless it has published to it before"
            )),
            Err(error) => found.problems.push(unusable(&error)),
        }
    }
    found
}

/// Why the servers cannot be used, in words.
fn unusable(error: &NatsError) -> String {
    let told = chain(error);
    if told.contains("UnknownIssuer") {
        return format!(
            "the server's certificate is not trusted: name a file with the certificate of its authority in the \
             variable SSL_CERT_FILE: {told}"
        );
    }
    if told.contains("authorization violation") {
        return format!(
            "the server refuses the user, the password, the token or the credentials: {told}"
        );
    }
    told
}

/// Checks every [`INSPECT`] that a stream is there, has the wanted configuration, and ends where this
/// process has published its last message.
#[derive(Debug)]
pub(super) struct Inspection {
    context: Context,
    topic: Topic,
    last: Instant,
}

impl Inspection {
    pub(super) fn new(context: Context, topic: Topic) -> Self {
        Self { context, topic, last: Instant::now() }
    }

    /// Checks the stream, if it is time. `sequence` is that of the last published message.
    pub(super) async fn check(
        &mut self,
        settings: &NatsSettings,
        sequence: u64,
    ) -> Result<(), NatsError> {
        if self.last.elapsed() < INSPECT {
            return Ok(());
        }
        let stream = inspect(&self.context, settings, self.topic).await?;
        self.last = Instant::now();
        if stream.cached_info().state.last_sequence == sequence {
            return Ok(());
        }
        Err(NatsError::OutOfStep)
    }
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
        sources,
        subject_transform
    );
    // A server that knows this setting tells the default one too.
    if found.persist_mode.is_some_and(|mode| mode != PersistenceMode::Default) {
        differences.push("persist_mode is async, not default".to_owned());
    }
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
