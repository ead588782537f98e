//! The key table: what events do to its rows, what its rows hold, and how queries show them.

mod apply;
mod closed;
mod row;
mod view;

pub(crate) use apply::{Change, CreatedColumns, changes};
pub(crate) use closed::{ClosedKeys, ClosedRow};
pub use row::BadRow;
pub(crate) use row::{KeyRow, ScanRow, loaded_key};
pub(crate) use view::{COUNT, COUNT_OF, GET, LIST, ListQuery, SCAN};
pub use view::{Cursor, KeyView, ListPage, Listing, QueryError, StatusFilter};
