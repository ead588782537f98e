//! `#[keyledger_bounded::test]`, to use instead of `#[test]` and `#[tokio::test]`.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// The error for an attribute on something else.
const FORM: &str = "a test is a function `fn name()` or `async fn name()`";

/// Makes a function a test with a time limit.
///
/// An `async` function runs on a Tokio runtime with two worker threads. The test is run by
/// `keyledger_test_servers::limit`, with the limit of that module or with as many minutes as the
/// attribute says: `#[keyledger_bounded::test(minutes = 60)]`.
#[proc_macro_attribute]
pub fn test(limit: TokenStream, function: TokenStream) -> TokenStream {
    let mistake = |mistake| tokens(&format!("::core::compile_error!({mistake:?});"));
    expand(limit, function).unwrap_or_else(mistake)
}

/// The test, or what is wrong with the function or the attribute.
fn expand(limit: TokenStream, function: TokenStream) -> Result<TokenStream, &'static str> {
    let mut rest: Vec<TokenTree> = function.into_iter().collect();
    let (body, parameters) = (rest.pop().ok_or(FORM)?, rest.pop().ok_or(FORM)?);
    let (name, keyword) = (rest.pop().ok_or(FORM)?, rest.pop().ok_or(FORM)?);
    let TokenTree::Group(block) = &body else { return Err(FORM) };
    let is = |token: &TokenTree, text: &str| token.to_string() == text;
    if block.delimiter() != Delimiter::Brace || !is(&parameters, "()") || !is(&keyword, "fn") {
        return Err(FORM);
    }
    let is_async = rest.pop_if(|last| is(last, "async")).is_some();
    let (run, closure) = if is_async { ("run_async", "async ||") } else { ("run", "||") };
    let minutes = minutes(limit)?;

    let mut arguments = tokens(&format!(
        "::core::concat!(::core::module_path!(), \"::\", \"{name}\"), {minutes}, {closure}"
    ));
    arguments.extend([body]);
    let mut call = tokens(&format!("::keyledger_test_servers::limit::{run}"));
    call.extend([TokenTree::from(Group::new(Delimiter::Parenthesis, arguments))]);
    // Only the other attributes of the function are left.
    let mut test: TokenStream = rest.into_iter().collect();
    test.extend(tokens("#[::core::prelude::v1::test]"));
    test.extend([keyword, name, parameters]);
    test.extend([TokenTree::from(Group::new(Delimiter::Brace, call))]);
    Ok(test)
}

/// The limit as an `Option<u64>` of minutes, from nothing or `minutes = 60`.
fn minutes(limit: TokenStream) -> Result<String, &'static str> {
    let limit: Vec<String> = limit.into_iter().map(|token| token.to_string()).collect();
    match limit.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Ok("::core::option::Option::None".to_owned()),
        ["minutes", "=", number] => Ok(format!("::core::option::Option::Some({number})")),
        _ => Err("a limit is `minutes = 60`"),
    }
}

/// Parses code of this file. Code that does not parse becomes nothing, and the test does not compile.
fn tokens(text: &str) -> TokenStream {
    text.parse().unwrap_or_default()
}
