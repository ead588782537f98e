//! Several nodes, the stores that they share, and the events that they publish.

mod asyncapi;
mod backends;
mod consumer;
mod copy;
mod disk;
mod durability;
mod files;
mod nodes;
mod outages;
mod relay;
mod relay_stream;
