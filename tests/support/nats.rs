//! Streams on NATS, for tests that read what the service has published.

use std::collections::HashSet;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{Context, Message as Delivered};
use futures::StreamExt;
use keyledger_test_servers::nats::Nats;
use serde_json::Value;

use super::Setup;
use super::wait::{LIMIT, until, within};

/// A message of the stream of events.
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Message {
    /// A header, which the message must have.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().as_str()
    }

    /// The event's position in the journal.
    pub(crate) fn position(&self) -> u64 {
        self.header("Keyledger-Position").parse().unwrap()
    }
}

/// A service that publishes to this server.
pub(crate) fn with(nats: &Nats) -> Setup {
    Setup::new().set("KEYLEDGER_NATS_URL", &nats.url())
}

/// A new connection, whose time limits suit a busy machine.
pub(crate) async fn connect(nats: &Nats) -> Context {
    let options = async_nats::ConnectOptions::new();
    let options = options.connection_timeout(LIMIT).request_timeout(Some(LIMIT));
    let client = within("a connection to NATS", options.connect(nats.url())).await.unwrap();
    let mut context = async_nats::jetstream::new(client);
    context.set_timeout(LIMIT);
    context
}

/// The stream of this name, once there is one.
pub(crate) async fn stream_named(nats: &Nats, name: &str) -> Stream {
    let context = connect(nats).await;
    until(format!("the stream {name}"), async || context.get_stream(name).await).await
}

/// How many messages the stream of this name has now.
pub(crate) async fn count(nats: &Nats, name: &str) -> usize {
    let stream = stream_named(nats, name).await;
    let info = within("a stream's state", stream.get_info()).await.unwrap();
    usize::try_from(info.state.messages).unwrap()
}

/// Removes all messages from a stream.
pub(crate) async fn purge(nats: &Nats, name: &str) {
    let stream = stream_named(nats, name).await;
    within("a stream to be emptied", async { stream.purge().await }).await.unwrap();
}

/// Removes the messages on a subject from a stream.
pub(crate) async fn purge_subject(nats: &Nats, name: &str, subject: &str) {
    let stream = stream_named(nats, name).await;
    let purging = async { stream.purge().filter(subject).await };
    assert_eq!(within("messages to be removed", purging).await.unwrap().purged, 1);
}

/// Deletes a stream.
pub(crate) async fn delete_stream(nats: &Nats, name: &str) {
    let context = connect(nats).await;
    within("a stream to be deleted", context.delete_stream(name)).await.unwrap();
}

/// Publishes a message that keyledger did not make.
pub(crate) async fn forge(nats: &Nats, subject: &'static str, payload: String) {
    let context = connect(nats).await;
    let publishing = async { context.publish(subject, payload.into()).await.unwrap().await };
    within("a message to be published", publishing).await.unwrap();
}

/// The messages of a stream, one after another from the first.
pub(crate) struct Messages {
    stream: String,
    messages: Box<dyn futures::Stream<Item = Delivered> + Send + Unpin>,
}

impl Messages {
    /// The messages of the stream of this name, once there is one.
    pub(crate) async fn of(nats: &Nats, name: &str) -> Self {
        let stream = stream_named(nats, name).await;
        let config =
            OrderedConfig { deliver_policy: DeliverPolicy::All, ..OrderedConfig::default() };
        let messages = async { stream.create_consumer(config).await.unwrap().messages().await };
        let messages = within("a consumer", messages).await.unwrap();
        Self { stream: name.to_owned(), messages: Box::new(messages.map(Result::unwrap)) }
    }

    /// Waits for the next message.
    pub(crate) async fn next(&mut self) -> Delivered {
        let what = format!("the next message of the stream {}", self.stream);
        within(what, self.messages.next()).await.unwrap()
    }
}

/// Waits until the stream of events has this many messages; tells the first ones.
pub(crate) async fn messages(nats: &Nats, count: usize) -> Vec<Message> {
    messages_of(nats, "KEYS", count).await
}

/// The same for the stream of this name.
pub(crate) async fn messages_of(nats: &Nats, name: &str, count: usize) -> Vec<Message> {
    let mut stream = Messages::of(nats, name).await;
    let mut messages = Vec::new();
    while messages.len() < count {
        let message = stream.next().await;
        messages.push(Message {
            subject: message.subject.to_string(),
            headers: message.headers.clone().unwrap(),
            body: serde_json::from_slice(&message.payload).unwrap(),
        });
    }
    messages
}

/// Checks that no event was published twice, and that they are in the order of the journal.
#[track_caller]
pub(crate) fn assert_once_in_order(messages: &[Message]) {
    let ids: HashSet<_> = messages.iter().map(|message| message.header("Nats-Msg-Id")).collect();
    assert_eq!(ids.len(), messages.len(), "one is there twice");
    let positions: Vec<_> = messages.iter().map(Message::position).collect();
    assert!(positions.is_sorted_by(|one, next| one < next), "{positions:?}");
}

/// Checks that each message names the one before it, and the first one none.
#[track_caller]
pub(crate) fn assert_chained(messages: &[Message]) {
    let mut before = (Value::Null, "0".repeat(20).into());
    for Message { body, .. } in messages {
        assert_eq!(
            (&body["previousid"], &body["previousposition"]),
            (&before.0, &before.1),
            "{body}"
        );
        before = (body["id"].clone(), body["sequence"].clone());
    }
}
