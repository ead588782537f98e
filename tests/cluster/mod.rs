//! Several nodes, the stores that they share, and the events that they publish.

mod asyncapi;
mod backends;
mod consumer;
mod copy;
mod durability;
mod nodes;
mod outages;
mod relay;
mod relay_stream;
