//! When keys were last used. No event says so: it is stored apart from the key table, and a rebuild
//! does not touch it.

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
