//! Which sign-ins are still to be compared with what is stored of the user.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashlink::LruCache;
use keyledger_commands::Origin;
use keyledger_domain::{Email, Timestamp, UserId};
use keyledger_identity::Caller;
use tokio::sync::mpsc;

/// How many users are remembered. Of more, those are forgotten whose requests are longest ago.
const REMEMBERED: usize = 10_000;
/// How many sign-ins wait at most.
const WAITING: usize = 1_000;

/// A token that names an address of its user, and was not seen before.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The user.
    pub user_id: UserId,
    /// The user's address.
    pub email: Email,
    /// When the token was issued, by the identity provider's clock.
    pub token_issued_at: Timestamp,
    /// The request that came with the token.
    pub origin: Origin,
}

/// Hands each user's new tokens to the task that has the other end of the queue; cheap to clone.
///
/// It takes one look into a map to tell a token that was handed on before. Requests never wait for the task:
/// if the queue is full, the user's next request tries again.
#[derive(Clone, Debug)]
pub struct SignIns {
    /// The time of issue of the newest token of each user that was handed on.
    newest: Arc<Mutex<LruCache<UserId, Timestamp>>>,
    queue: mpsc::Sender<SignIn>,
}

impl SignIns {
    /// Hands sign-ins on to this queue, in which few wait.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<SignIn>) {
        let (queue, waiting) = mpsc::channel(WAITING);
        (Self { newest: Arc::new(Mutex::new(LruCache::new(REMEMBERED))), queue }, waiting)
    }

    /// Hands on the caller's token, unless one was that is as new. A token without an address or a time of
    /// issue says nothing that could be compared.
    pub(super) fn note(&self, caller: &Caller, origin: impl FnOnce() -> Origin) {
        let (Some(email), Some(issued_at)) = (&caller.email, caller.issued_at) else { return };
        let mut newest = self.lock();
        if newest.get(&caller.user_id).is_some_and(|known| *known >= issued_at) {
            return;
        }
        let Ok(place) = self.queue.try_reserve() else { return };
        newest.insert(caller.user_id.clone(), issued_at);
        place.send(SignIn {
            user_id: caller.user_id.clone(),
            email: email.clone(),
            token_issued_at: issued_at,
            origin: origin(),
        });
    }

    /// Forgets that this token was handed on, so that the user's next request hands it on again.
    pub fn forget(&self, sign_in: &SignIn) {
        let mut newest = self.lock();
        if newest.peek(&sign_in.user_id) == Some(&sign_in.token_issued_at) {
            newest.remove(&sign_in.user_id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<UserId, Timestamp>> {
        // Nothing can panic in the middle of a change of the map.
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(user: &str, issued_at: Option<i64>) -> Caller {
        let issued_at =
            issued_at.map(|second| Timestamp::from_unix_micros(second * 1_000_000).unwrap());
        Caller {
            user_id: UserId::parse(user).unwrap(),
            email: Email::parse("ann@example.com"),
            issued_at,
            is_auditor: false,
            may_create: true,
            until: Timestamp::MAX,
        }
    }

    fn note(sign_ins: &SignIns, caller: &Caller) {
        sign_ins.note(caller, || Origin {
            actor: caller.user_id.clone(),
            correlation_id: String::new(),
            traceparent: None,
            client: None,
        });
    }

    /// The users and the seconds of issue of all that wait.
    fn waiting(queue: &mut mpsc::Receiver<SignIn>) -> Vec<(String, i64)> {
        std::iter::from_fn(|| queue.try_recv().ok())
            .map(|it| (it.user_id.to_string(), it.token_issued_at.unix_seconds()))
            .collect()
    }

    #[keyledger_bounded::test]
    fn a_token_is_handed_on_once_and_an_older_one_not_at_all() {
        let (sign_ins, mut queue) = SignIns::new();
        for (user, issued) in
            [("ann", 5), ("ann", 5), ("bob", 1), ("ann", 4), ("ann", 6), ("ann", 5)]
        {
            note(&sign_ins, &caller(user, Some(issued)));
        }
        let expected = [("ann", 5), ("bob", 1), ("ann", 6)];
        assert_eq!(waiting(&mut queue), expected.map(|(user, at)| (user.to_owned(), at)));
    }

    #[keyledger_bounded::test]
    fn a_token_without_an_address_or_a_time_is_not_handed_on() {
        let (sign_ins, mut queue) = SignIns::new();
        note(&sign_ins, &caller("ann", None));
        note(&sign_ins, &Caller { email: None, ..caller("ann", Some(5)) });
        assert_eq!(waiting(&mut queue), []);
    }

    #[keyledger_bounded::test]
    fn what_is_forgotten_is_handed_on_again() {
        let (sign_ins, mut queue) = SignIns::new();
        note(&sign_ins, &caller("ann", Some(5)));
        let failed = queue.try_recv().unwrap();
        sign_ins.forget(&failed);
        note(&sign_ins, &caller("ann", Some(5)));
        assert_eq!(waiting(&mut queue), [("ann".to_owned(), 5)]);
        // A newer one was handed on since.
        note(&sign_ins, &caller("ann", Some(6)));
        sign_ins.forget(&failed);
        note(&sign_ins, &caller("ann", Some(6)));
        assert_eq!(waiting(&mut queue), [("ann".to_owned(), 6)]);
    }

    #[keyledger_bounded::test]
    fn what_finds_no_place_is_handed_on_by_the_next_request() {
        let (sign_ins, mut queue) = SignIns::new();
        for user in 0..WAITING + 1 {
            note(&sign_ins, &caller(&user.to_string(), Some(5)));
        }
        assert_eq!(waiting(&mut queue).len(), WAITING);
        for user in 0..WAITING + 1 {
            note(&sign_ins, &caller(&user.to_string(), Some(5)));
        }
        assert_eq!(waiting(&mut queue), [(WAITING.to_string(), 5)]);
    }

    #[keyledger_bounded::test]
    fn few_users_are_remembered_and_those_who_come_often_are() {
        let (sign_ins, mut queue) = SignIns::new();
        let mut handed_on = 0;
        for user in 0..REMEMBERED + 10 {
            note(&sign_ins, &caller("often", Some(5)));
            note(&sign_ins, &caller(&user.to_string(), Some(5)));
            handed_on += waiting(&mut queue).len();
        }
        assert_eq!(handed_on, REMEMBERED + 11);
        note(&sign_ins, &caller("often", Some(5)));
        note(&sign_ins, &caller(&REMEMBERED.to_string(), Some(5)));
        assert_eq!(waiting(&mut queue), [], "they came lately");
        note(&sign_ins, &caller("0", Some(5)));
        assert_eq!(waiting(&mut queue), [("0".to_owned(), 5)]);
    }
}
