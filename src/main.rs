//! The executable `keyledger`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // What this program writes is for its own user, whatever the user's shell says.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let ended = keyledger::cli::run(std::env::args_os());
    keyledger::telemetry::finish();
    match ended {
        Ok(code) => code,
        Err(error) => {
            use std::io::Write;
            // If standard error is closed, the exit code is all that can be reported.
            let _ = writeln!(std::io::stderr(), "keyledger: {error:#}");
            ExitCode::FAILURE
        }
    }
}
