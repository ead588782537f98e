//! A server's process, which never outlives the test's.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// More than any start ever takes, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Ends the server when this process is gone, however it ended: it reads until then.
    watchdog: Child,
}

impl Process {
    /// Starts it, and waits until it has written a line with these words.
    pub(crate) fn start(command: &mut Command, words: &str) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let watchdog = Command::new("sh")
            .args(["-c", "cat >/dev/null; kill -KILL \"$1\"", "sh", &child.id().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, told) = channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let mut output = String::new();
        while !output.contains(words) {
            match told.recv_timeout(LIMIT) {
                Ok(line) => output = output + &line + "\n",
                Err(_) => panic!("{command:?} did not start:\n{output}"),
            }
        }
        Self { child, watchdog }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// Waits until it has ended.
    pub(crate) fn ended(&mut self) {
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
