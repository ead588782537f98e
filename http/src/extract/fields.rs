//! The fields of a JSON object, taken one by one, so that each mistake has a sentence of its own.

use std::fmt;

use keyledger_domain::Timestamp;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::problem::ApiError;

/// The fields of a JSON object. An object that names a field twice is refused.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Takes a text; `null` counts as absent.
    pub(crate) fn string(&mut self, field: &'static str) -> Result<Option<String>, ApiError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::WrongType { field, expected: "a string" }),
        }
    }

    /// Takes a whole number; `null` counts as absent.
    pub(crate) fn whole_number(&mut self, field: &'static str) -> Result<Option<u64>, ApiError> {
        let wrong = ApiError::WrongType { field, expected: "a whole number" };
        self.take(field).map(|value| whole(&value).ok_or(wrong)).transpose()
    }

    /// Takes a whole number of `1..=max`; `null` counts as absent.
    pub(crate) fn positive(
        &mut self,
        field: &'static str,
        max: u32,
        expected: &'static str,
    ) -> Result<Option<u32>, ApiError> {
        let Some(value) = self.take(field) else {
            return Ok(None);
        };
        let number = whole(&value).and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (1..=max).contains(number));
        number.map(Some).ok_or(ApiError::WrongType { field, expected })
    }

    /// Refuses the object if a field is left.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::UnknownField(name)),
        }
    }

    fn take(&mut self, field: &'static str) -> Option<Value> {
        self.0.remove(field).filter(|value| !value.is_null())
    }
}

/// A whole number. JSON Schema takes `60.0` for an integer, so it is one here too.
fn whole(value: &Value) -> Option<u64> {
    let text = value.as_number()?.to_string();
    text.strip_suffix(".0").unwrap_or(&text).parse().ok()
}

/// Parses a field's text as a time.
pub(crate) fn time(field: &'static str, text: &str) -> Result<Timestamp, ApiError> {
    Timestamp::parse(text).map_err(|_| ApiError::WrongType {
        field,
        expected: "a date and time of RFC 3339, such as 2030-01-31T12:00:00Z",
    })
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EachOnce;

        impl<'de> Visitor<'de> for EachOnce {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("a field is named twice"));
                    }
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(EachOnce)
    }
}
