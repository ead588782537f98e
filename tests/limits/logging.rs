//! A log that nobody takes.

use std::process::{Child, Command, Stdio};

use futures::future::join_all;
use keyledger_test_servers::free_port;
use serde_json::json;
use tempfile::TempDir;

use crate::support::wait::until;
use crate::support::{Client, SECRET, keyledger, run, token};

/// A service whose standard error is as the test says.
struct Unheard {
    service: Child,
    address: String,
    internal: String,
    _folder: TempDir,
}

impl Unheard {
    fn start(prepare: impl FnOnce(Command) -> Command) -> Self {
        let folder = TempDir::new().unwrap();
        let [address, internal] =
            [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let mut command = keyledger(folder.path());
        command
            .arg("serve")
            .env("KEYLEDGER_LISTEN", &address)
            .env("KEYLEDGER_INTERNAL_LISTEN", &internal)
            .env("KEYLEDGER_JWT_HS256_SECRET", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let service = prepare(command).spawn().unwrap();
        Self { service, address, internal, _folder: folder }
    }

    fn client(&self) -> Client {
        Client::new(&self.address, Some(token("ann", &[])))
    }

    fn gateway(&self) -> Client {
        Client::new(&self.internal, None)
    }

    async fn ready(self) -> Self {
        until("the service to be ready", async || {
            match self.client().try_send("GET", "/readyz", None).await {
                Ok(answer) if answer.status == 200 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        self
    }

    /// A key is created, used, revoked and refused, and the service stops when it is asked to.
    async fn does_its_work(mut self) {
        let created = self.client().post("/keys", &json!({"name": "ci"})).await;
        let created = created.expect_status(200).json();
        let verify = async || {
            let key = json!({"key": created["api_key"]});
            self.gateway().post("/verify", &key).await.expect_status(200).json()["code"].clone()
        };
        assert_eq!(verify().await, "VALID");
        let id = created["key_id"].as_str().unwrap();
        self.client().delete(&format!("/keys/{id}")).await.expect_status(200);
        assert_eq!(verify().await, "REVOKED");
        run(Command::new("kill").arg(self.service.id().to_string()));
        let status = until("the end of the service", async || {
            self.service.try_wait().unwrap().ok_or("it runs")
        });
        assert!(status.await.success());
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

#[keyledger_bounded::test]
async fn a_service_whose_log_is_closed_does_its_work() {
    let service = Unheard::start(|command| {
        let mut closed = Command::new("sh");
        closed.args(["-c", "exec \"$@\" 2>&-", "sh"]).arg(command.get_program());
        closed.args(command.get_args()).current_dir(command.get_current_dir().unwrap());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => closed.env(name, value),
                None => closed.env_remove(name),
            };
        }
        closed.stdin(Stdio::null()).stdout(Stdio::null());
        closed
    });
    service.ready().await.does_its_work().await;
}

#[keyledger_bounded::test]
async fn a_service_whose_log_is_never_read_does_its_work_and_counts_the_lines() {
    let (reader, writer) = std::io::pipe().unwrap();
    let service = Unheard::start(|mut command| {
        command.stderr(writer);
        command
    });
    let service = service.ready().await;
    let stranger = Client::new(&service.address, None);
    // The pipe takes 64 KiB, and 4,096 lines wait.
    for _ in 0..60 {
        let answers = join_all((0..100).map(|_| stranger.get("/healthz"))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
    }
    let metrics = service.gateway().get("/metrics").await.text;
    let dropped =
        metrics.lines().find_map(|line| line.strip_prefix("keyledger_log_lines_dropped_total "));
    assert!(dropped.unwrap().parse::<u64>().unwrap() > 0, "{metrics}");
    service.does_its_work().await;
    drop(reader);
}
