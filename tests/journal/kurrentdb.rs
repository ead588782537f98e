//! The journal in KurrentDB: on a stand-in, and on a real server where `TEST_KURRENTDB_URL` is set.

use std::sync::Arc;

use async_trait::async_trait;
use keyledger::journal::{self, Journal, JournalReader};
use keyledger_test_servers::kurrentdb::Server;

use super::contract::contract;
use super::given::Stand;

/// A server of its own, or the one that the environment names.
struct Kurrent {
    url: String,
    _server: Option<Server>,
}

impl Kurrent {
    fn new() -> Self {
        match std::env::var("TEST_KURRENTDB_URL") {
            Ok(url) => Self { url, _server: None },
            Err(_) => {
                let server = Server::start();
                Self { url: server.url(), _server: Some(server) }
            }
        }
    }
}

#[async_trait]
impl Stand for Kurrent {
    async fn open(&self) -> Arc<dyn Journal> {
        journal::open(&self.url).await.unwrap()
    }

    async fn open_reader(&self) -> Arc<dyn JournalReader> {
        journal::open_reader(&self.url).await.unwrap()
    }
}

contract!(Kurrent::new());
