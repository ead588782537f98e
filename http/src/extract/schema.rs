//! Schemas of parameters, for the OpenAPI document.

use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{ArrayBuilder, OneOfBuilder, RefOr};

fn of(schema_type: Type, format: KnownFormat) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(schema_type).format(Some(SchemaFormat::KnownFormat(format)))
}

/// Any text.
pub(crate) fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}

/// A text that matches a regular expression.
pub(crate) fn pattern(pattern: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).into()
}

/// A text of `1..=max` characters that matches a regular expression.
pub(crate) fn short_pattern(max: usize, pattern: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    text.min_length(Some(1)).max_length(Some(max)).into()
}

/// A UUID.
pub(crate) fn uuid() -> RefOr<Schema> {
    of(Type::String, KnownFormat::Uuid).into()
}

/// `true` or `false`.
pub(crate) fn boolean() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Boolean).into()
}

/// Only `true`.
pub(crate) fn always_true() -> RefOr<Schema> {
    only(true)
}

/// Only `false`.
pub(crate) fn always_false() -> RefOr<Schema> {
    only(false)
}

fn only(value: bool) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([value])).into()
}

/// A date and time of RFC 3339.
pub(crate) fn date_time() -> RefOr<Schema> {
    of(Type::String, KnownFormat::DateTime).into()
}

/// A whole number of `1..=max`.
pub(crate) fn limit(max: i32) -> RefOr<Schema> {
    of(Type::Integer, KnownFormat::Int32).minimum(Some(1)).maximum(Some(max)).into()
}

/// A position, an index or a size: a whole number of `0..=i64::MAX`.
pub(crate) fn position() -> RefOr<Schema> {
    of(Type::Integer, KnownFormat::Int64).minimum(Some(0)).maximum(Some(i64::MAX)).into()
}

/// A list of texts, each one of these.
pub(crate) fn list_of(texts: &[&str]) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(texts.to_vec()));
    ArrayBuilder::new().items(text).into()
}

/// A moment: a date and time of RFC 3339, or a position.
pub(crate) fn moment() -> RefOr<Schema> {
    OneOfBuilder::new().item(date_time()).item(position()).into()
}
