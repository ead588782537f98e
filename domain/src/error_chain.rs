//! The cause of an error, and an error with its causes as one line of text, for the log.

/// The underlying error, whatever its type.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The text of an error, followed by the text of each of its causes: `a: b: c`.
///
/// A cause whose text the line already ends with is left out, since some errors repeat their cause
/// in their own text.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source()).fold(
        error.to_string(),
        |text, cause| {
            let cause = cause.to_string();
            if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (text, inner) = texts.split_first().unwrap();
        Layer { text, source: (!inner.is_empty()).then(|| Box::new(layers(inner))) }
    }

    #[test]
    fn each_cause_is_told_once() {
        assert_eq!(chain(&layers(&["a"])), "a");
        assert_eq!(chain(&layers(&["a", "b", "c"])), "a: b: c");
        assert_eq!(chain(&layers(&["a: b", "b", "c"])), "a: b: c");
    }
}
