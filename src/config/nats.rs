//! Where events are published.

use std::path::PathBuf;

/// Where events go.
#[derive(Clone)]
pub struct NatsSettings {
    /// The servers, separated by commas; may hold a user and a password, or a token.
    pub url: String,
    /// A file of credentials (a JWT and its key), for servers that want one.
    pub credentials: Option<PathBuf>,
    /// The name of the stream of events.
    pub stream: String,
    /// How many servers keep each message.
    pub replicas: usize,
    /// What events say that they come from: the `source` of CloudEvents.
    pub source: String,
}

/// The URL may hold a password.
impl std::fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSettings").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// What happened to keys.
    Events,
    /// What was signed of the tree over all events. A stream of its own: how far each has come is told
    /// by its last message.
    Checkpoints,
}

impl Topic {
    /// The subjects of its messages. No message is in both streams.
    #[must_use]
    pub fn subjects(self) -> &'static str {
        match self {
            Self::Events => "keys.v1.>",
            Self::Checkpoints => "keys.checkpoints.v1.>",
        }
    }
}

impl NatsSettings {
    /// What the name of the stream of checkpoints ends with.
    pub(super) const CHECKPOINTS: &str = "_CHECKPOINTS";

    /// The name of the stream of a topic.
    #[must_use]
    pub fn stream_of(&self, topic: Topic) -> String {
        match topic {
            Topic::Events => self.stream.clone(),
            Topic::Checkpoints => format!("{}{}", self.stream, Self::CHECKPOINTS),
        }
    }
}
