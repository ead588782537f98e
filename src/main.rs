//! The executable.

use std::process::ExitCode;

fn main() -> ExitCode {
    match keyledger::cli::run(std::env::args_os()) {
        Ok(code) => code,
        Err(error) => {
            use std::io::Write;
            // Nothing is left to do when even this cannot be said.
            let _ = writeln!(std::io::stderr(), "keyledger: {error:#}");
            ExitCode::FAILURE
        }
    }
}
