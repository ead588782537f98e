//! Turns off Nagle's algorithm on the client's sockets.
//!
//! The client leaves it on (RFC 896). Together with the receiver's delayed acknowledgements, it makes
//! each call of a single caller wait for about 40 ms. The client gives no access to its sockets, so
//! this sets the option on all TCP sockets of the process, for which it is right too. On systems
//! without `/proc` no socket is found, and calls stay slow.

use std::os::fd::RawFd;

use filedescriptor::FileDescriptor;
use socket2::SockRef;

/// Sets `TCP_NODELAY` on all connected TCP sockets of this process.
pub(super) fn turn_off_nagle() {
    for descriptor in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let name = descriptor.file_name();
        let number = name.to_str().and_then(|name| name.parse::<RawFd>().ok());
        // The descriptor may be closed and its number reused at any time; a duplicate stays valid.
        let Some(Ok(socket)) = number.map(|number| FileDescriptor::dup(&number)) else { continue };
        let socket = SockRef::from(&socket);
        let is_tcp = socket.peer_addr().is_ok_and(|peer| peer.as_socket().is_some());
        if is_tcp && socket.tcp_nodelay().is_ok_and(|is_off| !is_off) {
            // Fails only on a socket that has just been closed.
            let _ = socket.set_tcp_nodelay(true);
        }
    }
}
