//! Real gateways with the settings of the examples, on ports of their own.

use std::process::Command;

use tempfile::TempDir;

use crate::free_port;
use crate::process::Process;
use crate::tools::{program, root, tools};

/// The kinds of gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// nginx.
    Nginx,
    /// Traefik.
    Traefik,
    /// Envoy.
    Envoy,
    /// Caddy.
    Caddy,
}

/// A gateway with a folder of its own.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    folder: TempDir,
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
        access_log access.log;
        client_body_temp_path body;
        proxy_temp_path proxy;
        fastcgi_temp_path fastcgi;
        scgi_temp_path scgi;
        uwsgi_temp_path uwsgi;
        include EXAMPLE;
    }
";

/// Words in the examples, and what they are replaced by, so that more is logged: each request in the usual
/// form of Traefik and Envoy, and by Caddy whatever it can log.
const LOGS: [(&str, &str); 3] = [
    ("\tadmin ", "\tdebug\n\tadmin "),
    ("providers:\n", "accessLog:\n  filePath: access.log\nproviders:\n"),
    (
        "stat_prefix: web\n",
        r#"stat_prefix: web
                access_log:
                  - name: requests
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
                      path: access.log
"#,
    ),
];

impl Gateway {
    /// Starts a gateway before an application, given the ports of keyledger and of the application.
    #[must_use]
    pub fn start(kind: Kind, keyledger: u16, application: u16) -> Self {
        let new = New::on(free_port(), &[(8081, keyledger), (3000, application)]);
        match kind {
            Kind::Nginx => {
                new.copy("gateways/nginx/keyledger.conf");
                new.nginx("keyledger.conf")
            }
            Kind::Traefik => {
                // Through this port, Traefik reaches itself.
                let new = new.also(8002);
                new.copy("gateways/traefik/traefik.yaml");
                new.copy("gateways/traefik/keyledger.yaml");
                // Traefik logs nothing unless something fails, so there is no line to wait for.
                let mut command = Command::new("sh");
                command.args(["-c", "exec \"$0\" --configfile=traefik.yaml >&2"]);
                new.run(command.arg(tools().join("traefik/traefik")), "")
            }
            Kind::Envoy => {
                new.copy("gateways/envoy/envoy.yaml");
                let mut command = Command::new(tools().join("envoy/envoy"));
                command.args(["-c", "envoy.yaml", "--concurrency", "1", "--disable-hot-restart"]);
                command.args(["--file-flush-interval-msec", "10"]);
                new.run(&mut command, "starting main dispatch loop")
            }
            Kind::Caddy => {
                // On this port, Caddy takes orders.
                let new = new.also(2019);
                new.copy("gateways/caddy/Caddyfile");
                let mut command = Command::new(program("caddy/usr/bin/caddy", "/usr/bin/caddy"));
                command.args(["run", "--config", "Caddyfile"]).env("HOME", new.folder.path());
                new.run(&mut command, "serving initial configuration")
            }
        }
    }

    /// Starts the nginx of the example for OpenRAG on a port, given the ports of keyledger (its public listener,
    /// its internal one) and of OpenRAG, and what keyledger is to get as `Authorization`, if it is not the
    /// client's.
    #[must_use]
    pub fn openrag(
        port: u16,
        (public, internal): (u16, u16),
        openrag: u16,
        authorization: Option<&str>,
    ) -> Self {
        let new = New::on(port, &[(8080, public), (8081, internal), (3000, openrag)]);
        new.copy("openrag/openrag.conf");
        if let Some(authorization) = authorization {
            let file = new.folder.path().join("openrag.conf");
            let text = std::fs::read_to_string(&file).unwrap();
            let given = format!("default \"{authorization}\";");
            std::fs::write(file, text.replace("default $http_authorization;", &given)).unwrap();
        }
        new.nginx("openrag.conf")
    }

    /// All that it has logged so far: errors, and requests.
    #[must_use]
    pub fn logs(&self) -> String {
        let requests = std::fs::read_to_string(self.folder.path().join("access.log"));
        self.process.output() + &requests.unwrap_or_default()
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// A gateway that is to be started.
struct New {
    folder: TempDir,
    /// Ports in the examples, and those to use instead.
    ports: Vec<(u16, u16)>,
    port: u16,
}

impl New {
    fn on(port: u16, servers: &[(u16, u16)]) -> Self {
        let ports = [servers, &[(8000, port)]].concat();
        Self { folder: TempDir::new().unwrap(), ports, port }
    }

    /// The same with a port for one more listener.
    fn also(mut self, shipped: u16) -> Self {
        self.ports.push((shipped, free_port()));
        self
    }

    /// Copies an example, with other ports.
    fn copy(&self, example: &str) {
        let path = root().join("examples").join(example);
        let mut text = std::fs::read_to_string(&path).unwrap();
        for (shipped, own) in &self.ports {
            for before in ["127.0.0.1:", "port_value: ", "http://:"] {
                text = text.replace(&format!("{before}{shipped}"), &format!("{before}{own}"));
            }
        }
        for (before, after) in LOGS {
            text = text.replace(before, after);
        }
        std::fs::write(self.folder.path().join(path.file_name().unwrap()), text).unwrap();
    }

    /// Starts nginx with this file in its folder.
    fn nginx(self, file: &str) -> Gateway {
        let settings = NGINX.replace("EXAMPLE", file);
        std::fs::write(self.folder.path().join("nginx.conf"), settings).unwrap();
        let mut command = Command::new(program("nginx/usr/sbin/nginx", "/usr/sbin/nginx"));
        command.arg("-p").arg(self.folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        self.run(&mut command, "event method")
    }

    /// Starts it, and waits until it has written these words.
    fn run(self, command: &mut Command, words: &str) -> Gateway {
        let Self { folder, port, .. } = self;
        let process = Process::start_until(words, command.current_dir(folder.path()));
        Gateway { process, folder, port }
    }
}
