//! `#[keyledger_bounded::test]`, to use instead of `#[test]` and `#[tokio::test]`.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// The error for an attribute on something else.
const FORM: &str = "a test is a function `fn name()` or `async fn name()`";
/// The error for other options.
const OPTIONS: &str = "the options are `minutes = 60`, or `paused` on an `async` function";
/// The limit of a test whose attribute gives none.
const NO_LIMIT_GIVEN: &str = "::core::option::Option::None";

/// Makes a function a test with a time limit.
///
/// An `async` function runs on a Tokio runtime with two worker threads. The test is run by
/// `keyledger_test_servers::limit`, with the limit of that module or with as many minutes as the
/// attribute says: `#[keyledger_bounded::test(minutes = 60)]`. With `paused`, an `async` function runs on
/// one thread, in a Tokio runtime whose time stands still and jumps to the next timer when nothing else
/// can happen.
#[proc_macro_attribute]
pub fn test(options: TokenStream, function: TokenStream) -> TokenStream {
    let mistake = |mistake| tokens(&format!("::core::compile_error!({mistake:?});"));
    expand(options, function).unwrap_or_else(mistake)
}

/// The test, or what is wrong with the function or the attribute.
fn expand(options: TokenStream, function: TokenStream) -> Result<TokenStream, &'static str> {
    let mut rest: Vec<TokenTree> = function.into_iter().collect();
    let (body, parameters) = (rest.pop().ok_or(FORM)?, rest.pop().ok_or(FORM)?);
    let (name, keyword) = (rest.pop().ok_or(FORM)?, rest.pop().ok_or(FORM)?);
    let TokenTree::Group(block) = &body else { return Err(FORM) };
    let is = |token: &TokenTree, text: &str| token.to_string() == text;
    if block.delimiter() != Delimiter::Brace || !is(&parameters, "()") || !is(&keyword, "fn") {
        return Err(FORM);
    }
    let is_async = rest.pop_if(|last| is(last, "async")).is_some();
    let options: Vec<String> = options.into_iter().map(|token| token.to_string()).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (runner, minutes) = match (&*options, is_async) {
        ([], false) => ("run", NO_LIMIT_GIVEN.to_owned()),
        ([], true) => ("run_async", NO_LIMIT_GIVEN.to_owned()),
        (["paused"], true) => ("run_paused", NO_LIMIT_GIVEN.to_owned()),
        (["minutes", "=", number], false) => ("run", some(number)),
        (["minutes", "=", number], true) => ("run_async", some(number)),
        _ => return Err(OPTIONS),
    };
    let closure = if is_async { "async ||" } else { "||" };

    let mut arguments = tokens(&format!(
        "::core::concat!(::core::module_path!(), \"::\", \"{name}\"), {minutes}, {closure}"
    ));
    arguments.extend([body]);
    let mut call = tokens(&format!("::keyledger_test_servers::limit::{runner}"));
    call.extend([TokenTree::from(Group::new(Delimiter::Parenthesis, arguments))]);
    // Only the other attributes of the function are left.
    let mut test: TokenStream = rest.into_iter().collect();
    test.extend(tokens("#[::core::prelude::v1::test]"));
    test.extend([keyword, name, parameters]);
    test.extend([TokenTree::from(Group::new(Delimiter::Brace, call))]);
    Ok(test)
}

/// A number of minutes as an `Option<u64>`.
fn some(number: &str) -> String {
    format!("::core::option::Option::Some({number})")
}

/// Parses code of this file. Code that does not parse becomes nothing, and the test does not compile.
fn tokens(text: &str) -> TokenStream {
    text.parse().unwrap_or_default()
}
