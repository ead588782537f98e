//! A real browser, driven through ChromeDriver (W3C WebDriver).

use std::process::Command;

use keyledger_test_servers::process::Process;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Client;

/// The key of an element's id in an answer (WebDriver, section 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The control key, in a text to type (WebDriver, section 17.4.2).
pub(crate) const CONTROL: char = '\u{e009}';

/// Chromium without a window. It looks up no names but those that are mapped, and calls home for nothing.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "about:blank",
];

/// A browser with one page, and a profile of its own.
pub(crate) struct Browser {
    session: Client,
    _driver: Process,
    _chromium: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser to which every name is an address of this machine.
    pub(crate) async fn start() -> Self {
        let profile = TempDir::new().unwrap();
        // The driver could start it too, but would leave it running when it is killed.
        let mut chromium = Command::new("chromium");
        chromium
            .args(["--host-resolver-rules=MAP * 127.0.0.1", "--disable-features=HttpsUpgrades"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(FLAGS)
            .env("HOME", profile.path());
        let mut chromium = Process::start(&mut chromium);
        let devtools = chromium.said("the address of the browser", |output| {
            let (_, rest) = output.split_once("DevTools listening on ws://")?;
            Some(rest.split_once('/')?.0.to_owned())
        });
        let mut driver = Process::start(Command::new("chromedriver").arg("--port=0"));
        let port = driver.said("the port of ChromeDriver", |output| {
            let (_, rest) = output.split_once("started successfully on port ")?;
            Some(rest.split_once('.')?.0.to_owned())
        });
        let driver_at = format!("127.0.0.1:{port}");
        let options = json!({ "goog:chromeOptions": { "debuggerAddress": devtools } });
        let body = json!({ "capabilities": { "alwaysMatch": options } });
        let answer = Client::new(&driver_at, None).post("/session", &body).await;
        let id = answer.expect_status(200).json()["value"]["sessionId"].clone();
        let session = format!("{driver_at}/session/{}", id.as_str().unwrap());
        let session = Client::new(&session, None);
        Self { session, _driver: driver, _chromium: chromium, _profile: profile }
    }

    /// Opens a page, and waits until it is loaded.
    pub(crate) async fn open(&self, address: &str) {
        self.post("/url", &json!({ "url": address })).await;
    }

    /// Sets a cookie of the page's host, which scripts cannot read.
    pub(crate) async fn set_cookie(&self, name: &str, value: &str) {
        let cookie = json!({ "name": name, "value": value, "httpOnly": true, "path": "/" });
        self.post("/cookie", &json!({ "cookie": cookie })).await;
    }

    /// Clicks on an element.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.post(&format!("/element/{element}/click"), &json!({})).await;
    }

    /// Types into an element.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.post(&format!("/element/{element}/value"), &json!({ "text": text })).await;
    }

    /// What an expression of JavaScript is in the page.
    pub(crate) async fn tell(&self, expression: &str) -> Value {
        let script = format!("return {expression};");
        self.post("/execute/sync", &json!({ "script": script, "args": [] })).await
    }

    async fn find(&self, selector: &str) -> String {
        let by = json!({ "using": "css selector", "value": selector });
        self.post("/element", &by).await[ELEMENT].as_str().unwrap().to_owned()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.session.post(path, body).await;
        answer.expect_status(200).json()["value"].clone()
    }
}
