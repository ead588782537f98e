//! The cells of a row: what a file says in each column, and what is wrong with it. No text here repeats a value.

use keyledger_domain::Timestamp;
use serde_json::Value;

use super::times;

/// The columns of a row.
pub(super) const COLUMNS: [&str; 10] = [
    "key_hash",
    "key_prefix",
    "name",
    "user_id",
    "created_at",
    "user_email",
    "key_id",
    "last_used_at",
    "expires_at",
    "revoked",
];
/// How many of them, from the first, must be there.
pub(super) const REQUIRED: usize = 5;

/// A column's name, if there is such a column.
pub(super) fn column(name: &str) -> Option<&'static str> {
    let name = name.trim();
    COLUMNS.iter().copied().find(|column| column.eq_ignore_ascii_case(name))
}

/// Why a row cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadRow {
    /// The column with the mistake; `None` if it is in the row as a whole.
    pub(super) column: Option<&'static str>,
    pub(super) problem: String,
}

impl BadRow {
    pub(super) fn whole(problem: impl Into<String>) -> Self {
        Self { column: None, problem: problem.into() }
    }
}

/// What a row says, by column. A cell that is empty is not there.
#[derive(Debug, Default)]
pub(super) struct Cells(Vec<(&'static str, Value)>);

impl Cells {
    /// Adds a cell.
    ///
    /// # Errors
    /// [`BadRow`] if there is no such column, or the row has it already.
    pub(super) fn put(&mut self, name: &str, value: Value) -> Result<(), BadRow> {
        let Some(column) = column(name) else {
            // The name is repeated only if it cannot be a key or a hash.
            let is_plain =
                name.len() <= 24 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            let named = if is_plain { format!("{name:?}") } else { "with another name".to_owned() };
            return Err(BadRow::whole(format!("a column {named} is not known")));
        };
        if self.0.iter().any(|(known, _)| *known == column) {
            return Err(BadRow { column: Some(column), problem: "it is there twice".to_owned() });
        }
        if !matches!(&value, Value::Null) && value != "" {
            self.0.push((column, value));
        }
        Ok(())
    }

    /// The value of a column in the form that `parse` expects; `None` if the cell is empty.
    pub(super) fn optional<T>(
        &self,
        column: &'static str,
        expected: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, BadRow> {
        let Some((_, value)) = self.0.iter().find(|(known, _)| *known == column) else {
            return Ok(None);
        };
        parse(value).map(Some).ok_or_else(|| BadRow {
            column: Some(column),
            problem: format!("it must be {expected}, and is {}", kind(value)),
        })
    }

    /// The same, of a column that must have a value.
    pub(super) fn required<T>(
        &self,
        column: &'static str,
        expected: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, BadRow> {
        self.optional(column, expected, parse)?.ok_or_else(|| BadRow {
            column: Some(column),
            problem: format!("it must be {expected}, and is missing"),
        })
    }

    /// The time in a column.
    pub(super) fn time(&self, column: &'static str) -> Result<Option<Timestamp>, BadRow> {
        self.optional(column, times::EXPECTED, |value| times::parse(value.as_str()?))
    }

    /// Whether a column says yes; an empty cell says no.
    pub(super) fn yes(&self, column: &'static str) -> Result<bool, BadRow> {
        let said = self.optional(column, "true or false, t or f, 1 or 0", |value| {
            if let Some(said) = value.as_bool() {
                return Some(said);
            }
            let text = value.as_u64().map(|number| number.to_string());
            match text.as_deref().or(value.as_str())?.to_ascii_lowercase().as_str() {
                "true" | "t" | "1" => Some(true),
                "false" | "f" | "0" => Some(false),
                _ => None,
            }
        });
        Ok(said?.unwrap_or(false))
    }
}

/// What a value is, without the value.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "true or false".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::String(text) => match text.chars().count() {
            1 => "a text of 1 character".to_owned(),
            count => format!("a text of {count} characters"),
        },
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(column: &str, value: Value) -> Cells {
        let mut row = Cells::default();
        row.put(column, value).unwrap();
        row
    }

    #[test]
    fn yes_and_no_have_several_spellings() {
        for yes in [json!(true), json!("t"), json!("TRUE"), json!("True"), json!("1"), json!(1)] {
            assert_eq!(row("revoked", yes.clone()).yes("revoked"), Ok(true), "{yes}");
        }
        for no in
            [json!(false), json!("f"), json!("FALSE"), json!("0"), json!(0), json!(null), json!("")]
        {
            assert_eq!(row("revoked", no.clone()).yes("revoked"), Ok(false), "{no}");
        }
        for other in [json!("yes"), json!(2), json!(-1), json!(1.0), json!([true]), json!({})] {
            assert!(row("revoked", other.clone()).yes("revoked").is_err(), "{other}");
        }
    }

    #[test]
    fn a_mistake_names_the_kind_of_a_value_and_not_the_value() {
        for (value, kind) in [
            (json!("hunter22"), "a text of 8 characters"),
            (json!("x"), "a text of 1 character"),
            (json!(7), "a number"),
            (json!(["hunter22"]), "a list"),
            (json!({"hunter22": 1}), "an object"),
        ] {
            let bad = row("created_at", value).time("created_at").unwrap_err();
            assert_eq!(bad.column, Some("created_at"));
            assert!(bad.problem.ends_with(kind), "{}", bad.problem);
            assert!(!bad.problem.contains("hunter22"));
        }
    }

    #[test]
    fn a_column_is_known_and_there_once() {
        let mut row = Cells::default();
        row.put(" Key_Hash ", json!("x")).unwrap();
        assert_eq!(row.put("KEY_HASH", json!("y")).unwrap_err().column, Some("key_hash"));
        assert!(row.put("scopes", json!("y")).unwrap_err().problem.contains("\"scopes\""));
        let hash = "0".repeat(64);
        assert!(!row.put(&hash, json!("y")).unwrap_err().problem.contains(&hash));
    }
}
