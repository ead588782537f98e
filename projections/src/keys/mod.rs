//! The key table: a row for every key, and the queries that show them.

mod apply;
mod query;
mod row;

pub(crate) use apply::apply;
pub use query::{Cursor, KeyView, Listing, Page, QueryError, StatusFilter};
pub use row::BadRow;
