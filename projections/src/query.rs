//! The queries of the key table, and the scan that fills the verification index.

use async_trait::async_trait;
use keyledger_domain::{Closure, KeyId, Reached, Timestamp, UserId};
use keyledger_verifier::{KeySource, LoadedKey};

use crate::keys::{ClosedRow, ListQuery, loaded_key};
use crate::{Cursor, KeyView, ListPage, Listing, QueryError, ReadTables, StatusFilter};

impl ReadTables {
    /// Lists a page of an owner's keys that are not deleted, newest first. At `now`, some of them have expired.
    ///
    /// # Errors
    /// Every variant of [`QueryError`].
    pub async fn list(
        &self,
        owner: &UserId,
        filter: StatusFilter,
        now: Timestamp,
        page: ListPage,
    ) -> Result<Listing, QueryError> {
        let query = ListQuery {
            owner: owner.as_str(),
            status: filter.name(),
            now,
            after: page.after.unwrap_or(Cursor::START),
            // One row more than the page holds shows whether there is a next page.
            limit: i64::from(page.limit) + 1,
        };
        let rows = self.store.list(&query).await?;
        let mut keys: Vec<KeyView> =
            rows.into_iter().map(KeyView::try_from).collect::<Result<_, _>>()?;
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let has_next = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().filter(|_| has_next);
        let next = next.map(|key| Cursor { created_at: key.created_at, key_id: key.key_id });
        Ok(Listing { keys, next })
    }

    /// Whether an owner has at least this many keys that are not deleted.
    ///
    /// # Errors
    /// Every variant of [`QueryError`].
    pub async fn has_keys(&self, owner: &UserId, count: u32) -> Result<bool, QueryError> {
        Ok(self.store.count_of(owner, i64::from(count)).await? >= i64::from(count))
    }

    /// The keys that are closed because an event of them cannot be read. A newer version of this program
    /// may be able to read it.
    ///
    /// # Errors
    /// Every variant of [`QueryError`].
    pub async fn unreadable(&self) -> Result<Vec<KeyId>, QueryError> {
        let closed = self.closed_rows().await?;
        let name = Closure::Unreadable(String::new()).name();
        let unreadable = closed.into_iter().filter(|(.., closure)| closure == name);
        Ok(unreadable.map(|(key_id, ..)| KeyId::from_uuid(key_id)).collect())
    }

    /// The closed keys of the build that queries read.
    async fn closed_rows(&self) -> Result<Vec<ClosedRow>, QueryError> {
        Ok(self.store.closed(self.store.live().await?).await?)
    }

    /// The key with this id; `None` if there is none or it is deleted.
    ///
    /// # Errors
    /// Every variant of [`QueryError`].
    pub async fn get(&self, key_id: KeyId) -> Result<Option<KeyView>, QueryError> {
        let row = self.store.get(key_id).await?;
        Ok(row.map(KeyView::try_from).transpose()?)
    }
}

#[async_trait]
impl KeySource for ReadTables {
    type Error = QueryError;

    async fn count(&self) -> Result<usize, QueryError> {
        Ok(usize::try_from(self.store.count().await?).unwrap_or(0))
    }

    async fn scan(
        &self,
        each: &mut (dyn for<'k> FnMut(LoadedKey<'k>) + Send),
    ) -> Result<Reached, QueryError> {
        let mut bad = None;
        let mut take = |row| match loaded_key(&row) {
            Ok(key) => {
                each(key);
                true
            }
            Err(error) => {
                bad = Some(error);
                false
            }
        };
        let reached = self.store.scan(&mut take).await?.reached;
        bad.map_or(Ok(reached), |error| Err(error.into()))
    }

    async fn closed(&self) -> Result<Vec<KeyId>, QueryError> {
        let closed = self.closed_rows().await?;
        Ok(closed.into_iter().map(|(key_id, ..)| KeyId::from_uuid(key_id)).collect())
    }
}
