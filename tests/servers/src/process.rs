//! Processes that tests start. They never outlive the process of the tests, and every wait for them has
//! a limit.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wait::{self, until_blocking, until_within};

/// A process that runs beside the test. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Killed,
    /// Kills the process once the process of the tests has ended in any way.
    guard: Option<Killed>,
    stdout: Stream,
    stderr: Stream,
}

impl Process {
    /// Starts a process, without input.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let (child, stdout, stderr) = spawn(command);
        let guard = Killed(in_the_end("kill -KILL \"$1\"", child.0.id().to_string()));
        Self { child, guard: Some(guard), stdout, stderr }
    }

    /// Starts a server, and waits until it has written these words.
    #[track_caller]
    pub(crate) fn start_until(words: &str, command: &mut Command) -> Self {
        let mut process = Self::start(command);
        process.said(&format!("{words:?} of {command:?}"), |output| {
            output.contains(words).then_some(())
        });
        process
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// All complete lines so far: those of its standard output, then those of its standard error.
    #[must_use]
    pub fn output(&self) -> String {
        self.stdout.text() + &self.stderr.text()
    }

    /// Waits until `find` finds something in the output, and returns it. Panics at once if the process
    /// has ended without it.
    #[track_caller]
    pub fn said<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        until_blocking(what, || {
            // In this order, so that the last lines before its end are seen.
            let has_ended = !self.is_running() && self.has_said_all();
            let output = self.output();
            match find(&output) {
                None if has_ended => panic!("it ended without {what}:\n{output}"),
                None => Err(output),
                Some(found) => Ok(found),
            }
        })
    }

    /// How it has ended, if it has.
    fn status(&mut self) -> Option<ExitStatus> {
        let status = self.child.0.try_wait().unwrap();
        if status.is_some() {
            // From now on, its id may be that of another process.
            self.guard = None;
        }
        status
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.status().is_none()
    }

    /// Whether all of its output was read: no process has the other ends of the pipes any more.
    fn has_said_all(&self) -> bool {
        self.stdout.has_ended() && self.stderr.has_ended()
    }

    /// Sends it a signal, such as `TERM`.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        let sent = run(Command::new("kill").args(["-s", signal, &self.id().to_string()]));
        assert!(sent.status.success(), "{sent:?}");
    }

    /// Waits until it has ended; tells how.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        until_blocking("the end of a process", || self.status().ok_or_else(|| self.output()))
    }

    /// Waits until it has ended; tells how, and all that it has written.
    #[track_caller]
    pub fn ended_with_output(&mut self) -> (ExitStatus, String) {
        let status = self.ended();
        until_blocking("the end of a process's output", || {
            if self.has_said_all() { Ok(()) } else { Err(self.output()) }
        });
        (status, self.output())
    }

    /// Ends it at once, with no chance to finish anything.
    #[track_caller]
    pub fn kill(&mut self) {
        self.child.0.kill().unwrap();
        self.ended();
    }
}

/// Runs a command to its end, without input, within the limit that every wait has.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    run_within(wait::LIMIT, command)
}

/// The same within another limit.
#[track_caller]
pub fn run_within(limit: Duration, command: &mut Command) -> Output {
    let (mut child, stdout, stderr) = spawn(command);
    let status = until_within(limit, &format!("the end of {command:?}"), || {
        let said = || stdout.text() + &stderr.text();
        let status = child.0.try_wait().unwrap().ok_or_else(said)?;
        if stdout.has_ended() && stderr.has_ended() { Ok(status) } else { Err(said()) }
    });
    Output { status, stdout: stdout.bytes(), stderr: stderr.bytes() }
}

/// Deletes a folder once the process of the tests has ended in any way, for what is never dropped.
pub(crate) fn delete_in_the_end(folder: &Path) {
    // Their pipes stay open for as long as this process lives.
    static DELETING: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    // A server that was in it may be writing its last files.
    let deleting = in_the_end("until rm -rf \"$1\"; do sleep 1; done", folder);
    DELETING.lock().unwrap().push(deleting);
}

/// Runs a command of the shell, with one argument, once the process of the tests has ended in any way: it
/// reads from a pipe that is open until then, or until the child is dropped.
fn in_the_end(command: &str, argument: impl AsRef<OsStr>) -> Child {
    Command::new("sh")
        .args(["-c", &format!("cat >/dev/null; {command}"), "sh"])
        .arg(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A child that is killed when this is dropped.
#[derive(Debug)]
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        // What was killed ends at once.
        let _ = self.0.wait();
    }
}

fn spawn(command: &mut Command) -> (Killed, Stream, Stream) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let stdout = Stream::of(child.stdout.take().unwrap());
    let stderr = Stream::of(child.stderr.take().unwrap());
    (Killed(child), stdout, stderr)
}

/// The output of a process, which a thread of its own reads.
#[derive(Debug)]
struct Stream {
    lines: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::<Mutex<Vec<u8>>>::default();
        let read = lines.clone();
        let reader = std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                read.lock().unwrap().append(&mut line);
            }
        });
        Self { lines, reader }
    }

    fn has_ended(&self) -> bool {
        self.reader.is_finished()
    }

    fn bytes(&self) -> Vec<u8> {
        self.lines.lock().unwrap().clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}
