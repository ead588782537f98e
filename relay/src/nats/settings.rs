//! Settings of the connection to NATS.

use std::path::PathBuf;

use super::servers::NatsServers;

/// How NATS is reached, and the stream that events are published to.
#[derive(Clone)]
pub struct NatsSettings {
    /// The servers, and how to log in to them.
    pub servers: NatsServers,
    /// The path of a credentials file (a JWT and its key), if the servers require one.
    pub credentials: Option<PathBuf>,
    /// The name of the stream that events are published to.
    pub stream: String,
    /// How many servers store each message, from 1 to 5.
    pub replicas: usize,
    /// The `source` attribute of the CloudEvents.
    pub source: String,
}

/// Only the name of the stream, which is what log lines need.
impl std::fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSettings").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// The kind of messages that a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Events of keys.
    Events,
    /// Signed checkpoints of the log. They have a stream of their own because the last message of a
    /// stream says what was published last.
    Checkpoints,
}

impl Topic {
    /// The subjects that the stream captures. No subject belongs to both streams.
    #[must_use]
    pub fn subjects(self) -> &'static str {
        match self {
            Self::Events => "keys.v1.>",
            Self::Checkpoints => "keys.checkpoints.v1.>",
        }
    }
}

impl NatsSettings {
    /// Appended to the name of the stream of events, it gives the name of the stream of checkpoints.
    pub const CHECKPOINTS: &str = "_CHECKPOINTS";

    /// The name of the stream for a topic.
    #[must_use]
    pub fn stream_of(&self, topic: Topic) -> String {
        match topic {
            Topic::Events => self.stream.clone(),
            Topic::Checkpoints => format!("{}{}", self.stream, Self::CHECKPOINTS),
        }
    }
}
