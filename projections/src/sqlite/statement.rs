//! Statements that take many rows.

use sqlx::Sqlite;
use sqlx::sqlite::SqliteArguments;

/// A statement whose values are being bound.
pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// The numbers of rows for which a statement has a text: few, so that each is prepared once and
/// cached. Parameters that are not bound are `NULL`; the statements skip such rows.
const SIZES: [usize; 5] = [1, 4, 32, 128, MOST_ROWS];
pub(super) const MOST_ROWS: usize = 512;

/// A statement over rows of values, with one text for each of [`SIZES`].
#[derive(Debug)]
pub(super) struct ManyRows([(usize, String); SIZES.len()]);

impl ManyRows {
    /// A statement whose text contains `(?, ?), (?, ?), …`, with `columns` parameters per row. The
    /// parameters have no numbers: for each numbered parameter, SQLite searches all others.
    pub(super) fn new(columns: usize, text: impl Fn(&str) -> String) -> Self {
        Self(SIZES.map(|size| {
            let row = format!("({})", vec!["?"; columns].join(", "));
            (size, text(&vec![row; size].join(", ")))
        }))
    }

    /// The text for this number of rows, which is at most [`MOST_ROWS`].
    pub(super) fn text(&'static self, rows: usize) -> &'static str {
        let fitting = self.0.iter().find(|(size, _)| *size >= rows);
        fitting.map_or("", |(_, text)| text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static INSERT: LazyLock<ManyRows> =
        LazyLock::new(|| ManyRows::new(2, |rows| format!("VALUES {rows}")));

    #[keyledger_bounded::test]
    fn a_text_has_room_for_the_rows_and_little_more() {
        for (rows, room) in [(0, 1), (1, 1), (2, 4), (5, 32), (128, 128), (129, 512), (512, 512)] {
            assert_eq!(INSERT.text(rows).matches('(').count(), room, "{rows}");
        }
    }

    #[keyledger_bounded::test]
    fn each_row_has_its_places() {
        assert_eq!(INSERT.text(3), "VALUES (?, ?), (?, ?), (?, ?), (?, ?)");
    }
}
