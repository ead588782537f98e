//! The OpenAPI 3.1 documents of both listeners, generated from the handlers.

use utoipa::Modify;
use utoipa::openapi::schema::{AdditionalProperties, Schema};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr};

use crate::keys::{CreateKeyBody, ReasonBody};
use crate::problem::Problem;

/// The document without its paths.
pub(crate) fn head() -> OpenApi {
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
    // Relative to the document, so that it is right behind a prefix too.
    servers((url = ".")),
    tags(
        (name = "keys", description = "One's API keys"),
        (name = "audit", description = "All keys, for auditors"),
        (name = "health", description = "Whether the service can do its work"),
    ),
    components(schemas(Problem, CreateKeyBody, ReasonBody)),
    modifiers(&Schemes, &ClosedBodies),
)]
struct Document;

/// The document of the internal listener without its paths.
pub(crate) fn internal_head() -> OpenApi {
    <InternalDocument as utoipa::OpenApi>::openapi()
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "keyledger internal",
        description = "What the public must not reach: verification of keys, metrics and health. Every \
            error is a problem document of RFC 9457 with a `code`, unless it says otherwise. A token is \
            required only if `KEYLEDGER_INTERNAL_TOKENS` is set.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = ".")),
    tags(
        (name = "verification", description = "Whether keys are good"),
        (name = "operations", description = "What operators watch"),
        (name = "health", description = "Whether the service can do its work"),
    ),
    components(schemas(Problem)),
    modifiers(&InternalSchemes),
)]
struct InternalDocument;

/// Adds the ways to sign in.
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

/// Adds the ways to send a token of the internal listener.
struct InternalSchemes;

impl Modify for InternalSchemes {
    fn modify(&self, openapi: &mut OpenApi) {
        let token = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            "Keyledger-Token",
            "A token of the internal listener",
        )));
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of the internal listener"))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", token);
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// Forbids unknown fields in request bodies, as the parser does.
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
