//! The page in a real browser, over plain HTTP and on a name that is not localhost.

use keyledger_test_servers::free_port;
use serde_json::json;

use super::front;
use crate::support::browser::{Browser, CONTROL};
use crate::support::wait::until;
use crate::support::{Client, Setup, token, token_with};

/// The name under which people reach the page.
const NAME: &str = "openrag.test";
/// What the page says of a change on a name that keyledger does not know.
const CROSS_SITE: &str = "Cross-site requests must not use the sign-in cookie";

/// Waits until an expression of JavaScript is true in the page.
async fn shows(browser: &Browser, expression: &str) {
    until(format!("{expression} in the page"), async || {
        match browser.tell(expression).await.as_bool() {
            Some(true) => Ok(()),
            _ => Err(browser.tell("document.body.innerText").await),
        }
    })
    .await;
}

/// Whether an element has this text, or this value, in JavaScript.
fn has(id: &str, text: &str) -> String {
    let element = format!("document.getElementById('{id}')");
    format!("({element}.value ?? {element}.textContent) === {}", json!(text))
}

const IS_EMPTY: &str = "!document.getElementById('empty').hidden";

/// Creates a key in the page; waits for this message.
async fn create(browser: &Browser, name: &str, message: &str) {
    browser.tell("document.getElementById('name').value = ''").await;
    if !name.is_empty() {
        browser.type_into("#name", name).await;
    }
    browser.click("#submit").await;
    shows(browser, &has("toast", message)).await;
}

#[keyledger_bounded::test]
async fn keys_are_managed_in_a_browser_over_plain_http_on_a_name_of_the_network() {
    let port = free_port();
    let address = format!("http://{NAME}:{port}");
    let service = Setup::new().set("KEYLEDGER_ALLOWED_ORIGINS", &address).start().ready().await;
    let front = front(&service, port, None).await;
    let browser = Browser::start().await;

    browser.open(&address).await;
    shows(&browser, IS_EMPTY).await;
    assert_eq!(browser.tell("window.isSecureContext").await, false);
    create(&browser, "too early", "Authentication required").await;

    browser.set_cookie("auth_token", &token("ann", &[])).await;
    browser.open(&address).await;
    shows(&browser, IS_EMPTY).await;
    create(&browser, "", "Name is required").await;
    create(&browser, &"x".repeat(101), "Name must be 100 characters or less").await;
    create(&browser, "my laptop", "Created").await;
    shows(&browser, "!document.getElementById('created').hidden").await;
    let secret = browser.tell("document.getElementById('secret').value").await;
    let secret = secret.as_str().unwrap();
    let (shown, hidden) = secret.split_at(13);
    let listed = has("keys", &format!("my laptop{shown}Revoke"));
    shows(&browser, &listed).await;

    browser.click("#copy").await;
    shows(&browser, &has("toast", "Copied")).await;
    browser.type_into("#notes", &format!("{CONTROL}v")).await;
    shows(&browser, &has("notes", secret)).await;

    let holder = Client::new(&front.address(), None).with("x-api-key", secret);
    holder.get("/api/v1/chat").await.expect_status(200);
    browser.open(&address).await;
    shows(&browser, &listed).await;
    let page = browser.tell("document.documentElement.outerHTML").await;
    assert!(!page.as_str().unwrap().contains(hidden), "the secret is shown once");

    browser.click("#keys button").await;
    shows(&browser, &has("toast", "Revoked")).await;
    holder.get("/api/v1/chat").await.expect_status(401);

    browser.set_cookie("auth_token", &token_with("ann", &[], -60)).await;
    browser.open(&address).await;
    shows(&browser, IS_EMPTY).await;
    create(&browser, "too late", "Authentication required").await;
    assert_eq!(service.events().await.len(), 2, "one key was created and revoked");
}

#[keyledger_bounded::test]
async fn a_page_on_a_name_that_is_not_listed_is_told_so() {
    let port = free_port();
    let listed = format!("http://{NAME}:{port}");
    let service = Setup::new().set("KEYLEDGER_ALLOWED_ORIGINS", &listed).start().ready().await;
    let _front = front(&service, port, None).await;
    let browser = Browser::start().await;
    let address = format!("http://other.test:{port}");
    browser.open(&address).await;
    browser.set_cookie("auth_token", &token("ann", &[])).await;
    create(&browser, "from elsewhere", CROSS_SITE).await;
    assert!(service.events().await.is_empty());
}
