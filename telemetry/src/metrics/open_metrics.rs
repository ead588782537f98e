//! Reads the text that the service's own metrics are written as (OpenMetrics 1.0): families in order, each
//! with its samples; no timestamps and no exemplars.

/// A family of metrics.
#[derive(Debug, Default, PartialEq)]
pub(super) struct MetricFamily<'a> {
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    /// `counter`, `gauge` or `histogram`.
    pub(super) kind: &'a str,
    pub(super) unit: &'a str,
    pub(super) samples: Vec<Sample<'a>>,
}

/// One line with a value.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    /// The name of the family with the suffix of the sample, such as `_total`.
    pub(super) name: &'a str,
    pub(super) labels: Vec<(&'a str, String)>,
    pub(super) value: &'a str,
}

/// The families of a text. Lines of another form are left out.
pub(super) fn families(text: &str) -> Vec<MetricFamily<'_>> {
    let mut families: Vec<MetricFamily<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("# ") {
            let mut words = told.splitn(3, ' ');
            let (Some(what), Some(name)) = (words.next(), words.next()) else { continue };
            if families.last().is_none_or(|last| last.name != name) {
                families.push(MetricFamily { name, ..MetricFamily::default() });
            }
            let (Some(family), Some(text)) = (families.last_mut(), words.next()) else { continue };
            match what {
                "HELP" => family.help = text,
                "TYPE" => family.kind = text,
                "UNIT" => family.unit = text,
                _ => {}
            }
        } else if let (Some(family), Some(sample)) = (families.last_mut(), sample(line)) {
            family.samples.push(sample);
        }
    }
    families
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at_checked(end)?;
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    Some(Sample { name, labels, value: value.trim() })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((name, value));
        rest = quoted.get(end + 1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_with_their_escapes() {
        let line = r#"name_total{a="x, \"y\"} z",b="\\\n"} 7"#;
        let read = sample(line).unwrap();
        assert_eq!(read.name, "name_total");
        assert_eq!(read.labels, [("a", "x, \"y\"} z".to_owned()), ("b", "\\\n".to_owned())]);
        assert_eq!(read.value, "7");
        for broken in ["", "name", "name{a=\"x 7", "name{a 7"] {
            assert_eq!(sample(broken), None, "{broken}");
        }
    }
}
