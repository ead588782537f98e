//! What answers may hold in memory, all of them together.
//!
//! An answer can be large, and its caller can be slow to read it, or may not read it at all. So only a few
//! large answers are prepared at the same time, those that wait to be read have a limit together, and each
//! user has a limit too, so that none can take the turns of the others.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use keyledger_domain::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::ApiError;

/// How many answers that may be large are prepared at the same time.
const PREPARED: usize = 32;
/// How many large answers a user may have at the same time that are prepared or not read yet.
const OF_USER: usize = 4;
/// How many KiB all answers together may have that are not read yet.
const UNREAD: u32 = 24 * 1024;
/// How long a request waits for its turn.
const WAIT: Duration = Duration::from_secs(5);
/// How many bytes the connection is handed at a time. They are copied, so that a connection that waits for
/// its caller holds no more than that.
const PIECE: usize = 16 * 1024;

/// The memory for large answers; cheap to clone.
#[derive(Clone, Debug)]
pub struct AnswerBudget {
    users: Arc<Users>,
    prepared: Arc<Semaphore>,
    unread: Arc<Semaphore>,
}

/// The answers of each user who has one.
#[derive(Debug, Default)]
struct Users(Mutex<HashMap<UserId, Arc<Semaphore>>>);

impl Users {
    async fn turn(self: Arc<Self>, user: UserId) -> Result<TurnOfUser, ApiError> {
        let answers = self.lock().entry(user.clone()).or_insert_with(new_user).clone();
        // Made before the wait, so that it is dropped if nobody waits any more.
        let mut turn = TurnOfUser { users: self, user, answers, permit: None };
        turn.permit = Some(permits(&turn.answers, 1).await?);
        Ok(turn)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Arc<Semaphore>>> {
        // No code can panic in the middle of a change of the map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_user() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(OF_USER))
}

/// A user's turn, from its preparation until the answer is read.
struct TurnOfUser {
    users: Arc<Users>,
    user: UserId,
    answers: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for TurnOfUser {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut users = self.users.lock();
        // One is in the map, and this is the other.
        if Arc::strong_count(&self.answers) == 2 {
            users.remove(&self.user);
        }
    }
}

impl Default for AnswerBudget {
    fn default() -> Self {
        let unread = usize::try_from(UNREAD).unwrap_or(usize::MAX);
        Self {
            users: Arc::default(),
            prepared: Arc::new(Semaphore::new(PREPARED)),
            unread: Arc::new(Semaphore::new(unread)),
        }
    }
}

impl AnswerBudget {
    /// Waits for the turn to prepare an answer for this user.
    pub(crate) async fn turn(&self, user: &UserId) -> Result<Turn, ApiError> {
        let of_user = self.users.clone().turn(user.clone()).await?;
        let turn = permits(&self.prepared, 1).await?;
        Ok(Turn { unread: self.unread.clone(), of_user, _turn: turn })
    }
}

/// The turn to prepare one answer.
pub(crate) struct Turn {
    unread: Arc<Semaphore>,
    of_user: TurnOfUser,
    _turn: OwnedSemaphorePermit,
}

impl Turn {
    /// The answer with this JSON text.
    pub(crate) async fn json(self, text: Vec<u8>) -> Result<Response, ApiError> {
        let kib = u32::try_from(text.len().div_ceil(1024)).unwrap_or(UNREAD).min(UNREAD);
        let permit = permits(&self.unread, kib).await?;
        let unread = Unread { text: text.into(), _permit: permit, _of_user: self.of_user };
        let mut response = Response::new(Body::new(unread));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        Ok(response)
    }
}

async fn permits(of: &Arc<Semaphore>, count: u32) -> Result<OwnedSemaphorePermit, ApiError> {
    let acquired = tokio::time::timeout(WAIT, of.clone().acquire_many_owned(count)).await;
    acquired.ok().and_then(Result::ok).ok_or(ApiError::TooBusy)
}

/// A body that counts until the last of it is handed to the connection.
struct Unread {
    text: Bytes,
    _permit: OwnedSemaphorePermit,
    _of_user: TurnOfUser,
}

impl HttpBody for Unread {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.text.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.text.len().min(PIECE);
        let piece = self.text.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(&piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.text.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn turn(budget: &AnswerBudget, user: usize) -> Result<Turn, ApiError> {
        budget.turn(&UserId::parse(&user.to_string()).unwrap()).await
    }

    async fn answer(budget: &AnswerBudget, user: usize, mib: usize) -> Result<Response, ApiError> {
        turn(budget, user).await?.json(vec![b' '; mib << 20]).await
    }

    #[keyledger_bounded::test(paused)]
    async fn answers_that_are_not_read_leave_no_room_until_they_are_dropped() {
        let budget = AnswerBudget::default();
        let first = answer(&budget, 1, 13).await.unwrap();
        assert!(matches!(answer(&budget, 2, 13).await, Err(ApiError::TooBusy)));
        let whole = first.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(whole.len(), 13 << 20);
        answer(&budget, 2, 13).await.unwrap();
    }

    #[keyledger_bounded::test(paused)]
    async fn an_answer_that_is_larger_than_the_limit_is_given_alone() {
        let budget = AnswerBudget::default();
        let answer = answer(&budget, 1, 25).await.unwrap();
        assert_eq!(answer.body().size_hint().exact(), Some(25 << 20));
    }

    #[keyledger_bounded::test(paused)]
    async fn only_a_few_answers_are_prepared_at_the_same_time() {
        let budget = AnswerBudget::default();
        let mut turns = Vec::new();
        for user in 0..PREPARED {
            turns.push(turn(&budget, user).await.unwrap());
        }
        assert!(matches!(turn(&budget, PREPARED).await, Err(ApiError::TooBusy)));
        turns.pop();
        turn(&budget, PREPARED).await.unwrap();
    }

    #[keyledger_bounded::test(paused)]
    async fn a_user_who_reads_nothing_takes_no_turn_of_others() {
        let budget = AnswerBudget::default();
        let mut unread = Vec::new();
        for _ in 0..OF_USER {
            unread.push(answer(&budget, 1, 1).await.unwrap());
        }
        let begun = tokio::time::Instant::now();
        let (refused, other) = tokio::join!(answer(&budget, 1, 1), async {
            (answer(&budget, 2, 1).await, begun.elapsed())
        });
        assert!(matches!(refused, Err(ApiError::TooBusy)));
        assert!(other.0.is_ok() && other.1.is_zero(), "{other:?}");
        unread.pop();
        unread.push(answer(&budget, 1, 1).await.unwrap());
        drop((unread, other));
        assert!(budget.users.lock().is_empty(), "nothing is kept of users who have no answer");
    }
}
