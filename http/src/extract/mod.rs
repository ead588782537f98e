//! What handlers take from requests. Each kind of input has one extractor; those that the OpenAPI
//! document shows also document themselves.

mod authenticator;
mod body;
mod caller;
mod cookie;
mod fields;
mod header;
mod key_path;
mod query;
pub(super) mod schema;
mod sign_ins;

pub use authenticator::Authenticator;
pub(super) use body::{parse, read_form, read_json, read_optional_json};
pub(super) use caller::{Auditor, CommandCaller, Creator, SignedIn};
pub(super) use fields::{Fields, time};
pub(super) use header::{
    IdempotencyKey, IfNoneMatch, LastEventId, MinPosition, accepts, bearer, min_position,
    optional_header, single,
};
pub(super) use key_path::KeyPath;
pub(super) use query::{Given, Parameter, Parameters, QueryParameters, put};
pub use sign_ins::{SignIn, SignIns};
