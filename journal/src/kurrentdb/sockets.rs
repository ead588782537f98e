//! Turns off Nagle's algorithm on the client's sockets.
//!
//! The client leaves it on (RFC 896). Together with the receiver's delayed acknowledgements, it makes
//! each call of a single caller wait for about 40 ms. The client gives no access to its sockets, so
//! this sets the option on all TCP sockets of the process, for which it is right too. On systems
//! without `/proc` no socket is found, and calls stay slow.

use std::os::fd::RawFd;
use std::path::Path;

use filedescriptor::FileDescriptor;
use socket2::SockRef;

/// Sets `TCP_NODELAY` on all connected TCP sockets of this process.
pub(super) fn turn_off_nagle() {
    for descriptor in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        if !is_socket(&descriptor.path()) {
            continue;
        }
        let name = descriptor.file_name();
        let number = name.to_str().and_then(|name| name.parse::<RawFd>().ok());
        // The descriptor may be closed and its number reused at any time; a duplicate stays valid.
        let Some(Ok(duplicate)) = number.map(|number| FileDescriptor::dup(&number)) else {
            continue;
        };
        let socket = SockRef::from(&duplicate);
        if socket.r#type().is_err() {
            // The number was reused for a file just now. The duplicate must never be closed: that
            // would release the locks of this process on the file.
            std::mem::forget(duplicate);
            continue;
        }
        let is_tcp = socket.peer_addr().is_ok_and(|peer| peer.as_socket().is_some());
        if is_tcp && socket.tcp_nodelay().is_ok_and(|is_off| !is_off) {
            // Fails only on a socket that has just been closed.
            let _ = socket.set_tcp_nodelay(true);
        }
    }
}

/// Whether a descriptor is a socket. A file must not even be duplicated: closing the duplicate releases
/// all locks that this process has on the file (POSIX `fcntl`), such as those of SQLite, and another
/// process could then write to a database at the same time.
fn is_socket(descriptor: &Path) -> bool {
    let target = std::fs::read_link(descriptor);
    target.is_ok_and(|target| target.to_str().is_some_and(|target| target.starts_with("socket:")))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use sqlx::Connection;
    use sqlx::sqlite::SqliteConnection;

    use super::*;

    /// Begins a write in another process. The exit code is 1 if the database is locked.
    const WRITE: &str = "import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    connection.execute('BEGIN IMMEDIATE')
except sqlite3.OperationalError:
    sys.exit(1)";

    #[keyledger_bounded::test]
    async fn no_lock_of_this_process_on_a_file_is_released() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("locked.db");
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query("CREATE TABLE one (number INTEGER)").execute(&mut connection).await.unwrap();
        let write = || {
            let mut other = Command::new("timeout");
            other.args(["60", "python3", "-c", WRITE]).arg(&path).status().unwrap().code()
        };
        assert_eq!(write(), Some(0), "nobody writes");
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
        assert_eq!(write(), Some(1), "this process writes");
        turn_off_nagle();
        assert_eq!(write(), Some(1), "this process still writes");
    }
}
