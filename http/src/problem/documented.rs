//! The problems that endpoints can answer, for the OpenAPI document.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::ApiError;
use super::rows::Kind;

/// Responses with a problem document, by status and description.
pub(crate) fn problems(of: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
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

/// Responses with these problems, by status. Each names the codes that it can have.
pub(crate) fn problems_of(
    all: impl IntoIterator<Item = ApiError>,
) -> BTreeMap<String, RefOr<Response>> {
    let mut codes = BTreeMap::<String, Vec<String>>::new();
    for problem in all {
        let Kind { status, code, title, .. } = problem.kind();
        let told = codes.entry(status.as_str().to_owned()).or_default();
        told.push(format!("`{code}` ({title})"));
    }
    let described: Vec<_> =
        codes.into_iter().map(|(status, codes)| (status, codes.join(", "))).collect();
    let described: Vec<_> = described.iter().map(|(status, codes)| (&**status, &**codes)).collect();
    problems(&described)
}

/// The problems of every query.
pub(crate) struct QueryProblems;

impl IntoResponses for QueryProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("400", "A parameter or header is not what it must be"),
            ("401", "Nobody is signed in"),
            ("503", "Not possible now; `Retry-After` tells when to try again"),
        ])
    }
}

/// The problems of every command.
pub(crate) struct CommandProblems;

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

/// The problems of paths that name one of the caller's keys.
pub(crate) struct KeyProblems;

impl IntoResponses for KeyProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("403", "Not the caller's key"), ("404", "There is no such key")])
    }
}

/// The problem of requests that need the events of a key.
pub(crate) struct ClosedKeyProblem;

impl IntoResponses for ClosedKeyProblem {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let closed = "The key's events were taken out of the journal; it is refused for good";
        problems(&[("410", closed)])
    }
}

/// The problem of callers who are no auditors.
pub(crate) struct AuditProblems;

impl IntoResponses for AuditProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("403", "The caller is no auditor")])
    }
}

/// The problem of proofs.
pub(crate) struct ProofProblems;

impl IntoResponses for ProofProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("404", "The tree has no such event, or not this size"),
            ("500", "The stored tree is damaged, and proves nothing"),
        ])
    }
}
