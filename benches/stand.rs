//! The server to compare with: a bare axum handler that appends as many bytes as an event has to a
//! file, with one `fdatasync` for all requests that wait.

use std::fs::File;
use std::io::Write;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

type Waiting = oneshot::Sender<()>;

/// Serves on a free port, whose address it prints, until it is killed.
pub(crate) async fn serve(file: &str) {
    let (appends, waiting) = mpsc::channel(1_024);
    let file = File::create(file).unwrap();
    std::thread::spawn(move || append(file, waiting));
    let router = Router::new().route("/keys", post(handle)).with_state(appends);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    use axum::serve::ListenerExt;
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}

async fn handle(
    State(appends): State<mpsc::Sender<Waiting>>,
    Json(body): Json<Value>,
) -> Json<Value> {
    let (done, written) = oneshot::channel();
    appends.send(done).await.unwrap();
    written.await.unwrap();
    Json(json!({
        "success": true,
        "key_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "key_prefix": "orag_AbCdEfGh",
        "name": body["name"],
        "created_at": "2026-03-01T12:00:00.000000Z",
        "api_key": "orag_0000000000000000000000000000000000000000000000000",
    }))
}

fn append(mut file: File, mut waiting: mpsc::Receiver<Waiting>) {
    let mut group = Vec::new();
    while waiting.blocking_recv_many(&mut group, 256) > 0 {
        file.write_all(&crate::creates::RECORD.repeat(group.len())).unwrap();
        file.sync_data().unwrap();
        for done in group.drain(..) {
            let _ = done.send(());
        }
    }
}
