//! A stand-in for KurrentDB: its protocol and its rules on a log in memory, with faults on demand.
//!
//! It behaves as a real server was seen to: when it recognises an append that is sent again, what
//! reads and subscriptions answer about streams that are missing, deleted or truncated, when a filtered
//! subscription gets checkpoints, and how a follower refuses. A database outlives its nodes, and may
//! have any number of them.

mod forms;
mod log;
mod metadata;
mod service;
mod subscription;
mod tampering;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tonic::transport::Identity;

pub use log::Database;
use service::Node;
pub use tampering::Stored;

/// The messages and services of the protocol, generated at build time.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::as_conversions,
    clippy::large_enum_variant,
    rustdoc::broken_intra_doc_links,
    unused_qualifications,
    reason = "it is generated"
)]
pub mod protocol {
    pub mod event_store {
        pub mod client {
            tonic::include_proto!("event_store.client");
            pub mod streams {
                tonic::include_proto!("event_store.client.streams");
            }
            pub mod gossip {
                tonic::include_proto!("event_store.client.gossip");
            }
            pub mod server_features {
                tonic::include_proto!("event_store.client.server_features");
            }
        }
    }
    pub mod google {
        pub mod rpc {
            tonic::include_proto!("google.rpc");
        }
    }
}

/// The faults of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallFault {
    /// None.
    #[default]
    None,
    /// The call is refused, as by a server that has just started.
    NotReady,
    /// The call does nothing, and is never answered.
    Hang,
    /// The call is done, and answered with an error.
    DoneThenError,
    /// The call is done, and answered this much later.
    DoneThenLate(Duration),
}

/// The faults of subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionFault {
    /// None.
    #[default]
    None,
    /// They deliver nothing any more.
    Silent,
    /// They end without an error, as when something between closes the stream.
    End,
    /// They end with an error.
    Error,
}

/// A right that users of a node lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// To read all streams at once.
    ReadAll,
    /// To append.
    Append,
}

/// The faults of a node.
#[derive(Debug, Default)]
struct Faults {
    appends: Mutex<CallFault>,
    reads: Mutex<CallFault>,
    subscriptions: watch::Sender<SubscriptionFault>,
    /// How many subscriptions a fault has struck.
    struck: watch::Sender<usize>,
    /// The rights that users lack.
    denied: Mutex<Vec<Denied>>,
    /// The `Authorization` header of the last append.
    authorization: Mutex<Option<String>>,
}

/// The nodes of a database, and the leader among them.
#[derive(Debug, Default)]
struct Cluster {
    members: Mutex<Vec<SocketAddr>>,
    leader: Mutex<Option<SocketAddr>>,
}

/// A node of a database that runs.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    database: Database,
    faults: Arc<Faults>,
    cluster: Arc<Cluster>,
    /// A runtime for this node, so that its end cuts every connection at once.
    runtime: Option<Runtime>,
}

impl Server {
    /// Starts the only node of a new database.
    #[must_use]
    pub fn start() -> Self {
        Self::serve(&Database::default(), 0)
    }

    /// Starts a node of a database on a port, 0 for any. The first of a database's nodes leads.
    #[must_use]
    pub fn serve(database: &Database, port: u16) -> Self {
        Self::begin(database, port, None)
    }

    /// Starts the only node of a new database, which wants TLS: with a certificate and its key, PEM.
    #[must_use]
    pub fn start_with_tls(certificate: &str, key: &str) -> Self {
        Self::begin(&Database::default(), 0, Some(Identity::from_pem(certificate, key)))
    }

    fn begin(database: &Database, port: u16, identity: Option<Identity>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let faults = Arc::new(Faults::default());
        let cluster = database.cluster();
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let mut members = cluster.members.lock().unwrap();
        if !members.contains(&address) {
            members.push(address);
        }
        drop(members);
        cluster.leader.lock().unwrap().get_or_insert(address);
        let node = Node::new(database.clone(), faults.clone(), cluster.clone(), address);
        runtime.spawn(node.serve(listener, identity));
        Self { address, database: database.clone(), faults, cluster, runtime: Some(runtime) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without TLS.
    #[must_use]
    pub fn url(&self) -> String {
        format!("kurrentdb://{}?tls=false", self.address)
    }

    /// The URL of all nodes of the database that ever were.
    #[must_use]
    pub fn cluster_url(&self) -> String {
        let members = self.cluster.members.lock().unwrap();
        let members: Vec<_> = members.iter().map(ToString::to_string).collect();
        format!("kurrentdb://{}?tls=false", members.join(","))
    }

    /// The `Authorization` header of the last append.
    #[must_use]
    pub fn authorization(&self) -> Option<String> {
        self.faults.authorization.lock().unwrap().clone()
    }

    /// Its database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// All data and metadata of its database.
    #[must_use]
    pub fn at_rest(&self) -> Vec<u8> {
        self.database.at_rest()
    }

    /// How many events of keys its database holds.
    #[must_use]
    pub fn key_events(&self) -> usize {
        self.database.key_events().0
    }

    /// Makes this node the leader.
    pub fn lead(&self) {
        *self.cluster.leader.lock().unwrap() = Some(self.address);
    }

    /// Sets the fault of appends from now on.
    pub fn appends(&self, fault: CallFault) {
        *self.faults.appends.lock().unwrap() = fault;
    }

    /// Denies users these rights from now on, and no others.
    pub fn deny(&self, denied: &[Denied]) {
        *self.faults.denied.lock().unwrap() = denied.to_vec();
    }

    /// Sets the fault of reads from now on.
    pub fn reads(&self, fault: CallFault) {
        *self.faults.reads.lock().unwrap() = fault;
    }

    /// Strikes the present subscriptions with a fault. Later ones work, unless the fault is silence.
    pub fn subscriptions(&self, fault: SubscriptionFault) {
        self.faults.subscriptions.send_replace(fault);
    }

    /// Waits until a fault has struck a subscription.
    pub async fn struck(&self) {
        let mut struck = self.faults.struck.subscribe();
        struck.wait_for(|count| *count > 0).await.unwrap();
    }

    /// Ends it: every connection is cut, and nobody answers.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits until the listener is closed, so that the port is free. On another thread, since
            // callers may be asynchronous.
            let ended = std::thread::spawn(|| runtime.shutdown_timeout(Duration::from_secs(5)));
            ended.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
