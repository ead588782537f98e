//! The key table as the source of the verification index.

use async_trait::async_trait;
use keyledger_domain::Position;
use keyledger_verifier::{KeySource, LoadedKey};

use super::loaded_key;
use crate::{QueryError, ReadTables};

#[async_trait]
impl KeySource for ReadTables {
    type Error = QueryError;

    async fn count(&self) -> Result<usize, QueryError> {
        Ok(usize::try_from(self.store.count().await?).unwrap_or(0))
    }

    async fn scan(
        &self,
        each: &mut (dyn for<'k> FnMut(LoadedKey<'k>) + Send),
    ) -> Result<Position, QueryError> {
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
        let position = self.store.scan(&mut take).await?.position;
        bad.map_or(Ok(position), |error| Err(error.into()))
    }
}
