//! Connections that ask nothing.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::wait::within;
use crate::support::{Service, Setup};

/// Waits until the service has closed a connection.
async fn is_closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // A connection that is cut off may end with an error.
    let _ = within("the end of a connection", stream.read_to_end(&mut rest)).await;
}

#[keyledger_bounded::test]
async fn a_connection_that_never_asks_is_closed() {
    let service = Service::start();
    for sent in [&b""[..], b"G", b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut silent = TcpStream::connect(&service.address).await.unwrap();
        silent.write_all(sent).await.unwrap();
        is_closed(silent).await;
    }
}

#[keyledger_bounded::test]
async fn silent_connections_take_no_place_from_those_who_ask() {
    // A third of these descriptors is for connections of the public, a third for those of gateways.
    let service = Setup::new().descriptors(300).start().ready().await;
    let mut silent = Vec::new();
    for _ in 0..400 {
        // Those that find no place wait for one.
        silent.push(TcpStream::connect(&service.address).await.unwrap());
    }
    let gateway = service.gateway();
    for _ in 0..20 {
        gateway.post("/verify", &json!({"key": "no key"})).await.expect_status(200);
    }
    let ann = service.user("ann");
    ann.create("one").await;
    assert_eq!(ann.keys().await.len(), 1);
    service.printed("a listener has as many connections as it may").await;
    for connection in silent {
        is_closed(connection).await;
    }
    ann.create("another").await;
}
