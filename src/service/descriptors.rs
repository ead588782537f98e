//! How many connections may be open at the same time: each takes a file descriptor, and the process may only
//! have so many.

use rustix::process::{Resource, getrlimit, setrlimit};

/// The file descriptors that are kept for databases, NATS, files and the identity provider.
const KEPT: u64 = 200;
/// The most connections of a listener, whatever the limit of descriptors.
const MOST: u64 = 20_000;

/// Raises this process's limit of file descriptors as far as it may, and divides them: the most connections
/// of each of the two listeners. So the public cannot take those that gateways need to verify keys.
pub(super) fn most_connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    usize::try_from(of_each(limit.current.unwrap_or(u64::MAX))).unwrap_or(1)
}

fn of_each(limit: u64) -> u64 {
    let kept = KEPT.min(limit / 2);
    ((limit - kept) / 2).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_kept_for_what_else_needs_them() {
        for (limit, most) in [(0, 1), (64, 16), (256, 64), (1_024, 412), (u64::MAX, MOST)] {
            assert_eq!(of_each(limit), most, "{limit}");
            assert!(limit < 4 || 2 * most <= limit - KEPT.min(limit / 2), "{limit}");
        }
    }
}
