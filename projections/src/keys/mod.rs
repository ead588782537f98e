//! The key table: a row for every key, and the queries that show them.

mod apply;
mod query;
mod row;
mod source;

pub(crate) use apply::{Change, CreatedColumns, changes};
pub(crate) use query::{COUNT, GET, LIST, ListQuery, SCAN};
pub use query::{Cursor, KeyView, ListPage, Listing, QueryError, StatusFilter};
pub use row::BadRow;
pub(crate) use row::{KeyRow, ScanRow, loaded_key};
