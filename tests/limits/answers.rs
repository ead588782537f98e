//! Answers that nobody reads.

use axum::body::Bytes;
use axum::http::Request;
use futures::future::join_all;
use h2::client::{Builder, SendRequest};
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::wait::{until, within};
use crate::support::{Service, Setup, token};

/// Asks for the list of ann's keys on one connection this many times, and takes nothing of the answers.
async fn ask_and_read_nothing(service: &Service, times: usize) -> tokio::task::JoinHandle<()> {
    let stream = TcpStream::connect(&service.address).await.unwrap();
    let mut builder = Builder::new();
    builder.initial_window_size(0);
    let (mut send, connection): (SendRequest<Bytes>, _) = builder.handshake(stream).await.unwrap();
    let connection = tokio::spawn(async move { drop(connection.await) });
    for _ in 0..times {
        let request = Request::get(format!("http://{}/keys", service.address))
            .header("authorization", format!("Bearer {}", token("ann", &[])));
        send = send.ready().await.unwrap();
        let (answer, _) = send.send_request(request.body(()).unwrap(), true).unwrap();
        // The headers need no window. The body is never asked for.
        tokio::spawn(async move {
            if let Ok(answer) = answer.await {
                std::future::pending::<()>().await;
                drop(answer)
            }
        });
    }
    connection
}

#[keyledger_bounded::test]
async fn answers_that_nobody_reads_are_given_up_and_hold_up_nobody_else() {
    let service = Setup::new().start().ready().await;
    let ann = service.user("ann");
    let create = async |number: usize| {
        let name = format!("{number:0>100}");
        ann.post("/keys", &json!({ "name": name })).await.expect_status(200);
    };
    for some in 0..40 {
        join_all((0..25).map(|number| create(some * 25 + number))).await;
    }
    assert_eq!(ann.keys().await.len(), 1_000);
    let before = service.memory();
    let mut connections = Vec::new();
    for _ in 0..4 {
        connections.push(ask_and_read_nothing(&service, 100).await);
    }
    service.user("bob").get("/keys").await.expect_status(200);
    let mut most = 0;
    until("the end of the connections that read nothing", async || {
        most = most.max(service.memory());
        let running = connections.iter().filter(|connection| !connection.is_finished()).count();
        if running == 0 { Ok(()) } else { Err(running) }
    })
    .await;
    // The 400 answers are 160 MB.
    let grown = most.saturating_sub(before);
    println!("{} MiB above {} MiB", grown >> 20, before >> 20);
    assert!(grown < 64 << 20, "{} MiB", grown >> 20);
    within("a list that is read", ann.keys()).await;
}
