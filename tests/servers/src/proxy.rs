//! A network between a client and a server, with faults on demand.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// The states of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// It works.
    Works,
    /// Each piece of data takes this long.
    Slow(Duration),
    /// Nothing arrives any more, without an error.
    Silent,
    /// Connections end after this many bytes in either direction, mostly within a message.
    Truncates(usize),
    /// Every connection is cut, and new ones are closed at once.
    Cut,
}

/// Forwards connections to a server through the network.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// The port to which new connections are forwarded.
    to: watch::Sender<u16>,
    network: watch::Sender<Network>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Starts to forward connections to a port of this machine.
    #[must_use]
    pub fn start(to: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let network = watch::Sender::new(Network::Works);
        let to = watch::Sender::new(to);
        runtime.spawn(accept(listener, to.subscribe(), network.clone()));
        Self { address, to, network, runtime: Some(runtime) }
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Forwards new connections to another port. Those that are open stay as they are.
    pub fn redirect(&self, to: u16) {
        self.to.send_replace(to);
    }

    /// Changes the network.
    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    to: watch::Receiver<u16>,
    network: watch::Sender<Network>,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let now = *network.borrow();
        if now == Network::Cut {
            continue;
        }
        let to = *to.borrow();
        let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        tokio::spawn(pass(from_client, to_server, network.subscribe()));
        tokio::spawn(pass(from_server, to_client, network.subscribe()));
    }
}

/// Forwards data in one direction until an end closes the connection, or the network cuts it.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
) -> Option<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0;
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.ok().filter(|read| *read > 0)?,
            cut = network.wait_for(|network| *network == Network::Cut) => {
                cut.ok()?;
                return None;
            }
        };
        let mut data = buffer.get(..read)?;
        let now = *network.borrow();
        match now {
            Network::Works => {}
            Network::Slow(late) => tokio::time::sleep(late).await,
            Network::Silent => {
                network.wait_for(|network| *network != Network::Silent).await.ok()?;
                // This data is lost.
                return None;
            }
            Network::Truncates(most) => {
                passed += data.len();
                if passed > most {
                    data = data.get(..data.len().saturating_sub(passed - most))?;
                    to.write_all(data).await.ok()?;
                    return None;
                }
            }
            Network::Cut => return None,
        }
        to.write_all(data).await.ok()?;
    }
}
