//! Statements over many rows at once.

/// How many rows one statement takes: few sizes, so that each is prepared once and kept.
const SIZES: [usize; 3] = [128, 16, 1];

/// A statement over rows of values, in a text for each number of rows that it is run with.
#[derive(Debug)]
pub(crate) struct ManyRows {
    texts: [(usize, String); SIZES.len()],
}

impl ManyRows {
    /// A statement whose text is made around `($1, $2), ($3, $4), …`: as many places a row as there
    /// are `columns`, numbered after the `fixed` ones that come first.
    pub(crate) fn new(fixed: usize, columns: usize, text: impl Fn(&str) -> String) -> Self {
        let texts = SIZES.map(|rows| {
            let row = |row| {
                let first = fixed + row * columns + 1;
                let places: Vec<_> = (first..first + columns).map(|at| format!("${at}")).collect();
                format!("({})", places.join(", "))
            };
            let values: Vec<_> = (0..rows).map(row).collect();
            (rows, text(&values.join(", ")))
        });
        Self { texts }
    }

    /// Cuts rows into the fewest runs of the statement; each with its text.
    pub(crate) fn runs<'a, T>(
        &'static self,
        rows: &'a [T],
    ) -> impl Iterator<Item = (&'static str, &'a [T])> {
        let mut rest = rows;
        std::iter::from_fn(move || {
            let fits = |(size, text): &'static (usize, String)| {
                let (run, after) = rest.split_at_checked(*size)?;
                Some((text.as_str(), run, after))
            };
            let (text, run, after) = self.texts.iter().find_map(fits)?;
            rest = after;
            Some((text, run))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static INSERT: LazyLock<ManyRows> =
        LazyLock::new(|| ManyRows::new(1, 2, |rows| format!("VALUES {rows}")));

    #[test]
    fn rows_are_cut_into_few_runs_that_lose_none() {
        let rows: Vec<_> = (0..300).collect();
        let sizes: Vec<_> = INSERT.runs(&rows).map(|(_, run)| run.len()).collect();
        let mut expected = vec![128, 128, 16, 16];
        expected.extend([1; 12]);
        assert_eq!(sizes, expected);
        let again: Vec<_> = INSERT.runs(&rows).flat_map(|(_, run)| run.iter().copied()).collect();
        assert_eq!(again, rows);
    }

    #[test]
    fn places_are_numbered_after_the_fixed_ones() {
        let text = INSERT.runs(&[0; 16]).next().unwrap().0;
        assert!(text.starts_with("VALUES ($2, $3), ($4, $5), "), "{text}");
        assert!(text.ends_with("($32, $33)"), "{text}");
    }
}
