//! A journal that keeps what is appended in memory, over one that is only read: what an import would do is seen
//! without doing it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::{StreamExt, future, stream};
use keyledger_domain::{
    InstallationSecret, KeyDelivery, KeyId, Place, Position, RecordedEvent, Revision,
};
use keyledger_journal::{
    Append, AppendError, Appended, Journal, JournalReader, KeySubscription, NewEvent, ReadError,
};

/// The journal, and what was appended to it in memory.
#[derive(Debug)]
pub(super) struct Rehearsal {
    journal: Arc<dyn JournalReader>,
    appended: Mutex<Appends>,
}

#[derive(Debug)]
struct Appends {
    head: Position,
    /// In the order of their positions.
    events: Vec<RecordedEvent>,
    /// The indices in `events`.
    of_key: HashMap<KeyId, Vec<usize>>,
}

impl Appends {
    fn add(&mut self, event: RecordedEvent) {
        self.head = event.position;
        self.of_key.entry(event.event.key_id()).or_default().push(self.events.len());
        self.events.push(event);
    }

    fn of(&self, key_id: KeyId) -> impl DoubleEndedIterator<Item = &RecordedEvent> {
        let indices = self.of_key.get(&key_id).into_iter().flatten();
        indices.filter_map(|index| self.events.get(*index))
    }

    fn last_of(&self, key_id: KeyId) -> Option<&RecordedEvent> {
        self.of(key_id).next_back()
    }
}

impl Rehearsal {
    pub(super) async fn over(journal: Arc<dyn JournalReader>) -> Result<Self, ReadError> {
        let head = journal.head().await?;
        let appended = Appends { head, events: Vec::new(), of_key: HashMap::new() };
        Ok(Self { journal, appended: Mutex::new(appended) })
    }

    fn appended(&self) -> MutexGuard<'_, Appends> {
        // Nothing panics while the lock is held.
        self.appended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JournalReader for Rehearsal {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut events = self.journal.read(key_id).await?;
        events.extend(self.appended().of(key_id).cloned());
        Ok(events)
    }

    fn subscribe_to_keys(&self, after: Position) -> KeySubscription {
        let is_event = |delivery: &Result<_, _>| {
            future::ready(!matches!(delivery, Ok(KeyDelivery::CaughtUp(_))))
        };
        let (head, appended) = {
            let appended = self.appended();
            (appended.head, appended.events.clone())
        };
        let appended = appended.into_iter().map(KeyDelivery::Event);
        let appended = appended.chain([KeyDelivery::CaughtUp(head)]).map(Ok);
        self.journal
            .subscribe_to_keys(after)
            .take_while(is_event)
            .chain(stream::iter(appended))
            .boxed()
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.appended().head)
    }

    async fn holds(&self, place: Place) -> Result<Option<bool>, ReadError> {
        self.journal.holds(place).await
    }

    async fn installation_secret(&self) -> Result<Option<InstallationSecret>, ReadError> {
        self.journal.installation_secret().await
    }
}

#[async_trait]
impl Journal for Rehearsal {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let stored = self.journal.read(append.key_id).await;
        let stored = stored.map_err(|error| AppendError::Unavailable(error.into()))?;
        let mut appended = self.appended();
        let mut last = appended.last_of(append.key_id).or(stored.last()).map(|last| last.revision);
        let next = last.map_or(Some(Revision::FIRST), Revision::next);
        if append.expected.next() != next {
            return Err(AppendError::Conflict);
        }
        for NewEvent { id, event, metadata } in append.events {
            let revision = last.map_or(Some(Revision::FIRST), Revision::next);
            let revision = revision.ok_or(AppendError::Conflict)?;
            let position = appended.head.plus(1);
            let position = position.map_err(|error| AppendError::Unavailable(error.into()))?;
            appended.add(RecordedEvent { position, revision, id, event, metadata });
            last = Some(revision);
        }
        let revision = last.ok_or(AppendError::Conflict)?;
        Ok(Appended { position: appended.head, revision })
    }

    async fn keep_installation_secret(
        &self,
        _: InstallationSecret,
    ) -> Result<InstallationSecret, AppendError> {
        // An import derives no id with it.
        Err(AppendError::Unavailable("nothing is written".into()))
    }
}

#[cfg(test)]
mod tests {
    use keyledger_domain::CommandId;
    use keyledger_domain::key::KeyEvent;
    use keyledger_domain::testing::{at, created, key_id, metadata, owner, revoked};
    use keyledger_journal::Expected;

    use super::*;

    fn append(number: u64, expected: Expected, event: KeyEvent) -> Append {
        let command_id = CommandId::at(at(0), &mut rand::rng());
        let (id, metadata) = (command_id.event_id(0), metadata(owner(number), command_id));
        Append { key_id: key_id(number), expected, events: vec![NewEvent { id, event, metadata }] }
    }

    #[keyledger_bounded::test]
    async fn what_is_appended_is_read_and_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("journal.db").display());
        let journal = keyledger_journal::open(&url).await.unwrap();
        journal.append(append(1, Expected::NoStream, created(1))).await.unwrap();
        let head = journal.head().await.unwrap();

        let rehearsal = Rehearsal::over(journal.clone()).await.unwrap();
        let first = Expected::Revision(Revision::FIRST);
        rehearsal.append(append(1, first, revoked(1))).await.unwrap();
        rehearsal.append(append(2, Expected::NoStream, created(2))).await.unwrap();
        for (number, expected) in
            [(1, first), (1, Expected::NoStream), (2, Expected::NoStream), (3, first)]
        {
            let again = rehearsal.append(append(number, expected, revoked(number))).await;
            assert!(matches!(again, Err(AppendError::Conflict)), "{number}");
        }
        let of_one = rehearsal.read(key_id(1)).await.unwrap();
        assert_eq!(
            of_one.iter().map(|it| it.event.clone()).collect::<Vec<_>>(),
            [created(1), revoked(1)]
        );
        let all: Vec<_> = rehearsal.subscribe_to_keys(Position::START).collect().await;
        let positions = all.iter().map(|delivery| match delivery.as_ref().unwrap() {
            KeyDelivery::Event(event) => event.position,
            KeyDelivery::CaughtUp(position) => *position,
            KeyDelivery::Closed(_) => panic!("no key is closed"),
        });
        let after = |places| head.plus(places).unwrap();
        assert_eq!(positions.collect::<Vec<_>>(), [head, after(1), after(2), after(2)]);
        assert_eq!(rehearsal.head().await.unwrap(), after(2));
        assert_eq!(journal.head().await.unwrap(), head);
        assert_eq!(journal.read(key_id(1)).await.unwrap().len(), 1);
    }
}
