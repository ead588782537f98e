//! Makes the client's sockets send at once.
//!
//! The client leaves Nagle's algorithm on (RFC 896), which together with the receiver's delayed
//! acknowledgements makes each call of one caller wait for about 40 ms. It gives no access to its
//! sockets, so they are found among those of the process. What holds for them is good for all others
//! too. On systems without `/proc` nothing is found, and calls stay slow.

use std::os::fd::RawFd;

use filedescriptor::FileDescriptor;
use socket2::SockRef;

/// Sets `TCP_NODELAY` on all connected TCP sockets of this process.
pub(super) fn send_at_once() {
    for descriptor in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let name = descriptor.file_name();
        let number = name.to_str().and_then(|name| name.parse::<RawFd>().ok());
        // A duplicate stays what it is, whatever becomes of the descriptor meanwhile.
        let Some(Ok(socket)) = number.map(|number| FileDescriptor::dup(&number)) else { continue };
        let socket = SockRef::from(&socket);
        let is_tcp = socket.peer_addr().is_ok_and(|peer| peer.as_socket().is_some());
        if is_tcp && socket.tcp_nodelay().is_ok_and(|at_once| !at_once) {
            // One that has just closed needs nothing more.
            let _ = socket.set_tcp_nodelay(true);
        }
    }
}
