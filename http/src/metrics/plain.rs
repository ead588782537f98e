//! The text format 0.0.4 of Prometheus, for callers that do not read OpenMetrics.

use std::collections::HashSet;

/// A text in the format of OpenMetrics in the older one. There, a counter is described by the name of its
/// samples, which ends in `_total`, and neither units nor the end of the text are marked.
pub(crate) fn plain(text: &str) -> String {
    let described = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let counters: HashSet<&str> =
        described.filter_map(|described| described.strip_suffix(" counter")).collect();
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match *words.as_slice() {
            ["#", "EOF"] | ["#", "UNIT", ..] => continue,
            ["#", kind, name, rest] if counters.contains(name) => {
                plain.extend(["# ", kind, " ", name, "_total ", rest]);
            }
            _ => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_counter_is_described_by_the_name_of_its_samples() {
        let open_metrics = "# HELP a_verified Keys that were verified.\n\
            # TYPE a_verified counter\n\
            a_verified_total{code=\"VALID\"} 2\n\
            # HELP a_lag_seconds How long.\n\
            # TYPE a_lag_seconds gauge\n\
            # UNIT a_lag_seconds seconds\n\
            a_lag_seconds 0.5\n\
            # EOF\n";
        let expected = "# HELP a_verified_total Keys that were verified.\n\
            # TYPE a_verified_total counter\n\
            a_verified_total{code=\"VALID\"} 2\n\
            # HELP a_lag_seconds How long.\n\
            # TYPE a_lag_seconds gauge\n\
            a_lag_seconds 0.5\n";
        assert_eq!(plain(open_metrics), expected);
    }
}
