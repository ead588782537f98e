//! The executable `keyledger`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match keyledger::cli::run(std::env::args_os()) {
        Ok(code) => code,
        Err(error) => {
            use std::io::Write;
            // If standard error is closed, the exit code is all that can be reported.
            let _ = writeln!(std::io::stderr(), "keyledger: {error:#}");
            ExitCode::FAILURE
        }
    }
}
