//! Someone who uses the service over HTTP.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

/// Someone who uses the service.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
}

/// What the service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The position that the answer tells.
    pub(crate) fn position(&self) -> u64 {
        self.header("keyledger-position").unwrap().parse().unwrap()
    }

    /// Status and code of a problem, once it has been checked to have its whole form.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, String, String) {
        let body = self.json();
        let code = body["code"].as_str().unwrap();
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(body["success"], false, "{body}");
        assert_eq!(body["status"], self.status, "{body}");
        assert_eq!(body["type"], format!("urn:keyledger:problem:{code}"));
        assert!(!body["title"].as_str().unwrap().is_empty());
        (self.status, code.to_owned(), body["error"].as_str().unwrap().to_owned())
    }
}

impl Client {
    pub(crate) fn new(address: &str, token: Option<String>) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
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

    /// The answer, or the error of a connection that broke.
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

    /// The answer while its body is still coming.
    pub(crate) async fn open(&self, path: &str) -> reqwest::Response {
        let url = format!("{}{path}", self.base);
        self.http.get(url).headers(self.headers.clone()).send().await.unwrap()
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Answer {
        self.try_send(method, path, body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None).await
    }

    /// Sends a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let json = self.with("content-type", "application/json");
        json.send("POST", path, Some(body.to_string().into_bytes())).await
    }

    /// Creates a key of this name; tells its id.
    pub(crate) async fn create(&self, name: &str) -> String {
        let answer = self.post("/keys", &json!({ "name": name })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["key_id"].as_str().unwrap().to_owned()
    }

    /// The caller's keys.
    pub(crate) async fn keys(&self) -> Vec<Value> {
        let answer = self.get("/keys").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["keys"].as_array().unwrap().clone()
    }

    /// The caller's keys once the service has come as far as this position.
    pub(crate) async fn keys_at(&self, position: u64) -> Vec<Value> {
        self.with("keyledger-min-position", &position.to_string()).keys().await
    }
}
