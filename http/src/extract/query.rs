//! Query strings. A parameter is declared once, in a row that both parses and documents it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use utoipa::IntoParams;
use utoipa::openapi::path::{self, ParameterBuilder, ParameterIn};
use utoipa::openapi::{RefOr, Required, Schema};

use crate::problem::ApiError;

/// How often a parameter may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    AtMostOnce,
    ExactlyOnce,
    AnyNumberOfTimes,
}

/// The declaration of one parameter of the query `Q`.
pub(crate) struct Parameter<Q> {
    pub(crate) name: &'static str,
    pub(crate) given: Given,
    /// What the parameter means, for the OpenAPI document.
    pub(crate) description: &'static str,
    /// The form of its values, for the OpenAPI document.
    pub(crate) schema: fn() -> RefOr<Schema>,
    /// The form of its values, as the end of the sentence "Parameter limit must be ...".
    pub(crate) expected: &'static str,
    /// Parses a value into the query; `None` when it does not have the expected form.
    pub(crate) read: fn(&mut Q, &str) -> Option<()>,
}

/// A query that is declared by its parameters.
pub(crate) trait QueryParameters: Default + 'static {
    /// All parameters, in the order of the OpenAPI document. Others are refused.
    const ALL: &'static [Parameter<Self>];
}

/// Puts a parsed value into its place in the query.
pub(crate) fn put<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    *place = Some(value?);
    Some(())
}

/// The query string of a request.
pub(crate) struct Parameters<Q>(pub(crate) Q);

impl<Q: QueryParameters, S: Send + Sync> FromRequestParts<S> for Parameters<Q> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse<Q: QueryParameters>(text: &str) -> Result<Q, ApiError> {
    let mut query = Q::default();
    let mut seen: Vec<&'static str> = Vec::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let declared = Q::ALL.iter().find(|parameter| parameter.name == name);
        let Some(&Parameter { name, given, expected, read, .. }) = declared else {
            return Err(ApiError::UnknownParameter(name.into_owned()));
        };
        read(&mut query, &value).ok_or(ApiError::InvalidParameter { name, expected })?;
        if given != Given::AnyNumberOfTimes && seen.contains(&name) {
            return Err(ApiError::InvalidParameter { name, expected: "given once" });
        }
        seen.push(name);
    }
    let is_missing = |parameter: &&Parameter<Q>| {
        parameter.given == Given::ExactlyOnce && !seen.contains(&parameter.name)
    };
    match Q::ALL.iter().find(is_missing) {
        Some(&Parameter { name, .. }) => {
            Err(ApiError::InvalidParameter { name, expected: "given" })
        }
        None => Ok(query),
    }
}

impl<Q: QueryParameters> IntoParams for Parameters<Q> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<path::Parameter> {
        Q::ALL.iter().map(document).collect()
    }
}

fn document<Q>(parameter: &Parameter<Q>) -> path::Parameter {
    let is_required = parameter.given == Given::ExactlyOnce;
    ParameterBuilder::new()
        .name(parameter.name)
        .parameter_in(ParameterIn::Query)
        .description(Some(parameter.description))
        .required(if is_required { Required::True } else { Required::False })
        .schema(Some((parameter.schema)()))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Numbers {
        one: Option<u8>,
        must: Option<u8>,
        many: Vec<u8>,
    }

    const fn row(
        name: &'static str,
        given: Given,
        read: fn(&mut Numbers, &str) -> Option<()>,
    ) -> Parameter<Numbers> {
        let schema = || crate::extract::schema::limit(9);
        Parameter { name, given, description: "", schema, expected: "a number", read }
    }

    impl QueryParameters for Numbers {
        const ALL: &'static [Parameter<Self>] = &[
            row("one", Given::AtMostOnce, |query, text| put(&mut query.one, text.parse().ok())),
            row("must", Given::ExactlyOnce, |query, text| put(&mut query.must, text.parse().ok())),
            row("many", Given::AnyNumberOfTimes, |query, text| {
                query.many.push(text.parse().ok()?);
                Some(())
            }),
        ];
    }

    fn refused(text: &str) -> String {
        format!("{:?}", parse::<Numbers>(text).unwrap_err())
    }

    #[test]
    fn a_query_is_read_by_its_rows() {
        let query = parse::<Numbers>("many=3&must=2&many=4").unwrap();
        assert_eq!(query, Numbers { one: None, must: Some(2), many: vec![3, 4] });
    }

    #[test]
    fn a_mistake_names_the_parameter() {
        for (text, name, expected) in [
            ("", "must", "given"),
            ("one=x&one=1&must=2", "one", "a number"),
            ("one=1&one=x&must=2", "one", "a number"),
            ("one=1&one=1&must=2", "one", "given once"),
            ("must=1&must=2", "must", "given once"),
            ("many=&must=2", "many", "a number"),
        ] {
            let told = refused(text);
            let wanted = ApiError::InvalidParameter { name, expected };
            assert_eq!(told, format!("{wanted:?}"), "{text}");
        }
        assert_eq!(refused("must=2&other=1"), "UnknownParameter(\"other\")");
    }

    #[test]
    fn only_a_parameter_that_must_be_given_is_documented_as_required() {
        let parameters = Parameters::<Numbers>::into_params(|| None);
        let required: Vec<_> = parameters.iter().map(|it| it.required == Required::True).collect();
        assert_eq!(required, [false, true, false]);
    }
}
