//! The OpenAPI 3.1 document, generated from the handlers.

use std::collections::BTreeMap;

use utoipa::openapi::schema::{
    AdditionalProperties, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr, Response};
use utoipa::{IntoResponses, Modify};

use super::body::{CreateKeyBody, ReasonBody};
use super::problem::Problem;

/// The document without its paths.
pub(super) fn head() -> OpenApi {
    <Document as utoipa::OpenApi>::openapi()
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "keyledger",
        description = "API keys kept as a ledger of events: list, create, revoke and delete one's \
            keys. Every error is a problem document of RFC 9457 with a `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "keys", description = "One's API keys"),
        (name = "audit", description = "All keys, for auditors"),
        (name = "health", description = "Whether the service can do its work"),
    ),
    components(schemas(Problem, CreateKeyBody, ReasonBody)),
    modifiers(&Schemes, &ClosedBodies),
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut OpenApi) {
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            "auth_token",
            "A JWT; honoured on POST and DELETE only from one's own pages",
        )));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("cookie", cookie);
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The bodies that we take have no fields but their own.
struct ClosedBodies;

impl Modify for ClosedBodies {
    fn modify(&self, openapi: &mut OpenApi) {
        let components = openapi.components.get_or_insert_default();
        for name in ["CreateKeyBody", "ReasonBody"] {
            if let Some(RefOr::T(Schema::Object(body))) = components.schemas.get_mut(name) {
                body.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
}

fn problems(of: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
    let problem = |description: &str| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        ResponseBuilder::new()
            .description(description)
            .content("application/problem+json", content)
            .build()
    };
    of.iter()
        .map(|(status, description)| ((*status).to_owned(), RefOr::T(problem(description))))
        .collect()
}

/// What any query may answer instead.
pub(super) struct QueryProblems;

impl IntoResponses for QueryProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("400", "A parameter or header is not what it must be"),
            ("401", "Nobody is signed in"),
            ("503", "Not possible now; `Retry-After` tells when to try again"),
        ])
    }
}

/// What any command may answer instead.
pub(super) struct CommandProblems;

impl IntoResponses for CommandProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("400", "The body or a header is not what it must be"),
            ("401", "Nobody is signed in"),
            ("403", "Not the caller's key, or a request from another site"),
            (
                "409",
                "Others change the key at the same time, or the request was carried out before",
            ),
            ("413", "The body has more than 16 KiB"),
            ("415", "The body is not of type application/json"),
            ("503", "Not possible now; `Retry-After` tells when to try again"),
        ])
    }
}

/// What a path that names a key may answer instead.
pub(super) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("403", "Not the caller's key"), ("404", "There is no such key")])
    }
}

/// What may be answered to those who are no auditors.
pub(super) struct AuditProblems;

impl IntoResponses for AuditProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("403", "The caller is no auditor")])
    }
}

/// What may be answered to auditors who name a key.
pub(super) struct UnknownKey;

impl IntoResponses for UnknownKey {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("404", "There was never such a key")])
    }
}

/// A time or a position, as a parameter.
pub(super) struct MomentText;

impl utoipa::PartialSchema for MomentText {
    fn schema() -> RefOr<Schema> {
        let time = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        let position = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(0))
            .maximum(Some(i64::MAX));
        OneOfBuilder::new().item(time).item(position).into()
    }
}

impl utoipa::ToSchema for MomentText {}

/// What may be answered to those who ask for a checkpoint.
pub(super) struct NoCheckpoint;

impl IntoResponses for NoCheckpoint {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("404", "No checkpoint was signed yet"),
            ("503", "Not possible now; `Retry-After` tells when to try again"),
        ])
    }
}

/// What may be answered to those who ask for a proof.
pub(super) struct NotInTree;

impl IntoResponses for NotInTree {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("404", "The tree has no such event, or not this size")])
    }
}
