//! Real gateways with the settings of the examples, on ports of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::free_port;
use crate::process::Process;

/// The kinds of gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// nginx.
    Nginx,
    /// Traefik.
    Traefik,
    /// Envoy.
    Envoy,
}

/// A gateway with a folder of its own.
#[derive(Debug)]
pub struct Gateway {
    _process: Process,
    _folder: TempDir,
    port: u16,
}

/// The settings around the example for nginx. It runs as one process, so that a kill ends all of it.
const NGINX: &str = "
    daemon off;
    master_process off;
    pid nginx.pid;
    error_log stderr notice;
    events {}
    http {
        access_log off;
        client_body_temp_path body;
        proxy_temp_path proxy;
        fastcgi_temp_path fastcgi;
        scgi_temp_path scgi;
        uwsgi_temp_path uwsgi;
        include keyledger.conf;
    }
";

impl Gateway {
    /// Starts a gateway before an application, given the ports of keyledger and of the application.
    #[must_use]
    pub fn start(kind: Kind, keyledger: u16, application: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        // Through the last port, Traefik reaches itself.
        let ports = [(8081, keyledger), (3000, application), (8000, port), (8002, free_port())];
        let settings = |example: &str| settings(folder.path(), example, &ports);
        let (mut command, words) = match kind {
            Kind::Nginx => {
                settings("nginx/keyledger.conf");
                std::fs::write(folder.path().join("nginx.conf"), NGINX).unwrap();
                let mut command = Command::new(nginx());
                command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
                (command, "event method")
            }
            Kind::Traefik => {
                settings("traefik/traefik.yaml");
                settings("traefik/keyledger.yaml");
                // Traefik logs nothing unless something fails, so there is no line to wait for.
                let mut command = Command::new("sh");
                command.args(["-c", "exec \"$0\" --configfile=traefik.yaml >&2"]);
                command.arg(tools().join("traefik/traefik"));
                (command, "")
            }
            Kind::Envoy => {
                settings("envoy/envoy.yaml");
                let mut command = Command::new(tools().join("envoy/envoy"));
                command.args(["-c", "envoy.yaml", "--concurrency", "1", "--disable-hot-restart"]);
                (command, "starting main dispatch loop")
            }
        };
        command.current_dir(folder.path());
        Self { _process: Process::start_until(words, &mut command), _folder: folder, port }
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// Copies an example into a folder, with other ports.
fn settings(folder: &Path, example: &str, ports: &[(u16, u16)]) {
    let path = root().join("examples/gateways").join(example);
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (shipped, own) in ports {
        for before in ["127.0.0.1:", "port_value: "] {
            text = text.replace(&format!("{before}{shipped}"), &format!("{before}{own}"));
        }
    }
    std::fs::write(folder.join(path.file_name().unwrap()), text).unwrap();
}

fn nginx() -> PathBuf {
    let unpacked = tools().join("nginx/usr/sbin/nginx");
    if unpacked.exists() { unpacked } else { "/usr/sbin/nginx".into() }
}

/// The folder into which `tests/tools.sh` puts programs.
fn tools() -> PathBuf {
    root().canonicalize().unwrap().join("target/tools")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
