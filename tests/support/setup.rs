//! A service that is to be started: its folder, its settings and its arguments.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use keyledger_test_servers::process::{Process, run};
use tempfile::TempDir;

use super::service::Service;
use super::stores::Stores;
use super::token::SECRET;

/// A service that is to be started.
pub(crate) struct Setup {
    folder: Arc<TempDir>,
    settings: Vec<(String, String)>,
    arguments: Vec<String>,
    /// Whether a write beyond the limit of a file's size fails, and does not end the process.
    survives_limits: bool,
    /// How many file descriptors it may have, if there is a limit of its own.
    descriptors: Option<u32>,
}

impl Setup {
    /// A service with a new folder, and ports that the system chooses.
    pub(crate) fn new() -> Self {
        Self::in_folder(Arc::new(TempDir::new().unwrap()))
    }

    /// A service in a folder that another one may have used before.
    pub(crate) fn in_folder(folder: Arc<TempDir>) -> Self {
        let settings = [
            ("KEYLEDGER_LISTEN", "127.0.0.1:0"),
            ("KEYLEDGER_INTERNAL_LISTEN", "127.0.0.1:0"),
            ("KEYLEDGER_JWT_HS256_SECRET", SECRET),
            ("KEYLEDGER_LOG_FORMAT", "json"),
            // Some tests create many keys as one user.
            ("KEYLEDGER_MAX_KEYS_PER_OWNER", "100000"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let stores = Stores::of(folder.path());
        let arguments = vec!["serve".to_owned()];
        let settings = settings.to_vec();
        let (survives_limits, descriptors) = (false, None);
        let setup = Self { folder, settings, arguments, survives_limits, descriptors };
        match stores {
            None => setup,
            Some(Stores { journal, read }) => {
                setup.set("KEYLEDGER_JOURNAL_URL", &journal).set("KEYLEDGER_READ_URL", &read)
            }
        }
    }

    /// Where its journal and its read tables will be.
    pub(crate) fn stores(&self) -> Stores {
        Stores::at(self.folder.path())
    }

    /// The same with this setting.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without this setting.
    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self
    }

    /// The same with one more argument.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// The same, so that a limit of the size of files is to it what a full disk is: writes fail.
    pub(crate) fn survives_limits(mut self) -> Self {
        self.survives_limits = true;
        self
    }

    /// The same with this many file descriptors.
    pub(crate) fn descriptors(mut self, descriptors: u32) -> Self {
        self.descriptors = Some(descriptors);
        self
    }

    fn command(&self) -> Command {
        let mut command = keyledger(self.folder.path());
        if let Some(descriptors) = self.descriptors {
            let program = command.get_program().to_owned();
            command = command_in(self.folder.path(), "prlimit");
            command.arg(format!("--nofile={descriptors}:{descriptors}")).arg(program);
        }
        if self.survives_limits {
            let program = command.get_program().to_owned();
            command = command_in(self.folder.path(), "sh");
            command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(program);
        }
        command.args(&self.arguments).envs(self.settings.iter().map(|(n, v)| (n, v)));
        command
    }

    /// Starts it, and waits until it serves.
    #[track_caller]
    pub(crate) fn start(self) -> Service {
        let mut service = self.spawn();
        service.logged("serving");
        service
    }

    /// Starts it, and waits until it listens: its stores may not be there yet.
    #[track_caller]
    pub(crate) fn spawn(self) -> Service {
        Service::new(Process::start(&mut self.command()), self.folder)
    }

    /// Runs a service that cannot start, and so ends; tells its exit status and its output.
    #[track_caller]
    pub(crate) fn run(self) -> Output {
        run(&mut self.command())
    }
}

/// Compiles C code to be preloaded into a service; `source` is a file below `tests/`. Tells the library's path.
#[track_caller]
pub(crate) fn preloadable(source: &str, folder: &Path) -> String {
    let library = folder.join("preloaded.so").display().to_string();
    let source = format!("{}/tests/{source}", env!("CARGO_MANIFEST_DIR"));
    let compiler = ["-shared", "-fPIC", "-Wall", "-Werror", "-o", &library, &source, "-ldl"];
    let made = run(Command::new("cc").args(compiler));
    assert!(made.status.success(), "{made:?}");
    library
}

/// The same command. If the tests run as root, it may only read what its user may read.
pub(crate) fn without_rights_of_root(command: &Command) -> Command {
    let mut limited = if is_root() {
        let mut limited = Command::new("setpriv");
        limited.arg("--bounding-set=-dac_override,-dac_read_search").arg(command.get_program());
        limited
    } else {
        Command::new(command.get_program())
    };
    limited.args(command.get_args()).env_clear().env("PATH", "/usr/bin:/bin");
    limited.current_dir(command.get_current_dir().unwrap());
    limited
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The executable, in a folder and without the environment of the tests.
pub(crate) fn keyledger(folder: &Path) -> Command {
    command_in(folder, env!("CARGO_BIN_EXE_keyledger"))
}

fn command_in(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(folder);
    command
}
