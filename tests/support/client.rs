//! Clients of the service, over HTTP.

use std::fmt::{Display, Formatter, Result as Formatted};

use keyledger_test_servers::wait::{LIMIT, until, within};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client, with the headers that it sends with every request.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
}

/// An answer of the service.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Display for Answer {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Formatted {
        write!(formatter, "status {}, {:?}, body: {}", self.status, self.headers, self.text)
    }
}

impl Answer {
    /// Checks the status; panics with the whole answer if it is another.
    #[track_caller]
    pub(crate) fn expect_status(&self, status: u16) -> &Self {
        assert!(self.status == status, "not {status}: {self}");
        self
    }

    /// The body, which must be JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self}"))
    }

    /// The only value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The position in the `Keyledger-Position` header.
    #[track_caller]
    pub(crate) fn position(&self) -> u64 {
        self.header("keyledger-position").unwrap().parse().unwrap()
    }

    /// Status, code and sentence of a problem, whose form is checked too.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, String, String) {
        let body = self.json();
        let Some(code) = body["code"].as_str() else { panic!("no problem: {self}") };
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self}");
        assert_eq!(body["success"], false, "{body}");
        assert_eq!(body["status"], self.status, "{body}");
        assert_eq!(body["type"], format!("urn:keyledger:problem:{code}"));
        assert!(!body["title"].as_str().unwrap().is_empty());
        (self.status, code.to_owned(), body["error"].as_str().unwrap().to_owned())
    }
}

impl Client {
    /// A client of the service at this address, with this bearer token if there is one.
    pub(crate) fn new(address: &str, token: Option<String>) -> Self {
        let http = reqwest::Client::builder().no_proxy();
        // Without these limits, an answer that never comes is waited for as long as the test runs.
        let http = http.connect_timeout(LIMIT).read_timeout(LIMIT).build().unwrap();
        let client = Self { http, base: format!("http://{address}"), headers: HeaderMap::new() };
        match token {
            Some(token) => client.with("authorization", &format!("Bearer {token}")),
            None => client,
        }
    }

    /// The same, with one more header on every request.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        client.headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        client
    }

    /// Adds a header that may be there already.
    pub(crate) fn append(&mut self, name: &str, value: &str) {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }

    /// The answer to a request, or the error of a connection that broke.
    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, reqwest::Error> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, url).headers(self.headers.clone());
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, text: response.text().await? })
    }

    /// The answer to a GET that succeeds, whose body is still coming.
    pub(crate) async fn open(&self, path: &str) -> reqwest::Response {
        let url = format!("{}{path}", self.base);
        let response = self.http.get(url).headers(self.headers.clone()).send().await.unwrap();
        let status = response.status();
        if status != 200 {
            panic!("{status}: {}", response.text().await.unwrap_or_default());
        }
        response
    }

    /// The answer to a request.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Answer {
        self.try_send(method, path, body).await.unwrap()
    }

    /// The answer to a GET.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    /// The answer to a DELETE without a body.
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None).await
    }

    /// The answer to a POST of this JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let json = self.with("content-type", "application/json");
        json.send("POST", path, Some(body.to_string().into_bytes())).await
    }

    /// Creates a key of this name, and waits until lists show it, which takes longer than the answer on a busy
    /// machine; tells its id.
    pub(crate) async fn create(&self, name: &str) -> String {
        let answer = self.post("/keys", &json!({ "name": name })).await;
        let id = answer.expect_status(200).json()["key_id"].as_str().unwrap().to_owned();
        if answer.header("keyledger-lagging").is_some() {
            until("the new key to be shown", async || {
                let shown = self.get(&format!("/keys/{id}")).await;
                if shown.status == 200 { Ok(()) } else { Err(shown.to_string()) }
            })
            .await;
        }
        id
    }

    /// The list of the caller's keys.
    pub(crate) async fn keys(&self) -> Vec<Value> {
        let answer = self.get("/keys").await;
        answer.expect_status(200).json()["keys"].as_array().unwrap().clone()
    }

    /// The same, at this position or a later one.
    pub(crate) async fn keys_at(&self, position: u64) -> Vec<Value> {
        self.with("keyledger-min-position", &position.to_string()).keys().await
    }
}

/// The status and the text of the answer to these bytes, after which the server closes the connection.
pub(crate) async fn raw_answer(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{request:?}: {answer}")), answer)
}

/// Checks the status of an answer; panics with the whole answer if it is another, after a text that
/// names the case.
macro_rules! assert_status {
    ($answer:expr, $status:expr $(,)?) => {
        $answer.expect_status($status)
    };
    ($answer:expr, $status:expr, $($case:tt)+) => {{
        let (answer, status) = (&$answer, $status);
        assert!(answer.status == status, "{}: not {status}: {answer}", format_args!($($case)+));
    }};
}
pub(crate) use assert_status;

/// Checks the status and the code of a problem, in the same way.
macro_rules! assert_problem {
    ($answer:expr, $status:expr, $code:expr $(,)?) => {
        $crate::support::assert_problem!($answer, $status, $code, "a problem")
    };
    ($answer:expr, $status:expr, $code:expr, $($case:tt)+) => {{
        let (answer, expected) = (&$answer, ($status, $code));
        let (status, code, _) = answer.problem();
        assert!(
            (status, &*code) == expected,
            "{}: not {expected:?}: {answer}",
            format_args!($($case)+)
        );
    }};
}
pub(crate) use assert_problem;
