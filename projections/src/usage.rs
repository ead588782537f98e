//! The times at which keys were last used. They follow from no event, so they are stored in a table
//! of their own, which a rebuild does not touch.

use async_trait::async_trait;
use keyledger_verifier::{Use, UseSink};

use crate::ReadTables;

#[async_trait]
impl UseSink for ReadTables {
    type Error = sqlx::Error;

    async fn record(&self, uses: &[Use]) -> Result<(), sqlx::Error> {
        self.store.record(uses).await
    }
}
