//! A real nats-server with JetStream.
