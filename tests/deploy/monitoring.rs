//! A real Prometheus reads the metrics of a running service: what alerts and dashboard ask for is there.

use std::sync::Arc;

use keyledger_test_servers::kurrentdb::Server;
use keyledger_test_servers::nats::{Nats, Version};
use keyledger_test_servers::prometheus::Prometheus;
use keyledger_test_servers::wait::until;
use reqwest::Url;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{file, yaml};
use crate::support::log::Log;
use crate::support::{Client, Service, Setup};

/// The series that a query has now.
async fn series(prometheus: &Client, query: &str) -> Result<Vec<Value>, String> {
    let url = Url::parse_with_params("http://prometheus/api/v1/query", [("query", query)]).unwrap();
    let path = format!("{}?{}", url.path(), url.query().unwrap());
    let answer = prometheus.get(&path).await;
    answer.expect_status(200);
    let series = answer.json()["data"]["result"].as_array().unwrap().clone();
    if series.is_empty() { Err(format!("nothing for {query}")) } else { Ok(series) }
}

/// Waits until a query has series; tells them.
async fn shown(prometheus: &Client, what: &str, query: &str) -> Vec<Value> {
    until(format!("series for {what}"), async || series(prometheus, query).await).await
}

/// The selectors in an expression, such as `keyledger_part_ready{part="tree"}`.
fn selectors(expression: &str) -> Vec<&str> {
    let starts = expression.match_indices("keyledger_").map(|(at, _)| &expression[at..]);
    let selector = |rest: &str| {
        let name =
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let labels = rest[name..].starts_with('{').then(|| rest[name..].find('}').unwrap() + 1);
        name + labels.unwrap_or(0)
    };
    starts.map(|rest| &rest[..selector(rest)]).collect()
}

/// The labels that a template names after `before`, such as `{{` in `{{instance}}`.
fn named<'a>(template: &'a str, before: &str) -> Vec<&'a str> {
    let parts = template.split(before).skip(1);
    parts
        .map(|part| part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap())
        .collect()
}

/// A service with every part that there is, which has done something of everything.
async fn working(log: &Log, nats: &Nats) -> Service {
    let service = log.setup().set("KEYLEDGER_NATS_URL", &nats.url()).start().ready().await;
    let created = service.user("ann").post("/keys", &json!({"name": "used and revoked"})).await;
    let (id, key) = (created.json()["key_id"].clone(), created.json()["api_key"].clone());
    service.gateway().post("/verify", &json!({ "key": key })).await.expect_status(200);
    let revoked = service.user("ann").delete(&format!("/keys/{}", id.as_str().unwrap())).await;
    revoked.expect_status(200);
    service
}

#[keyledger_bounded::test]
async fn every_panel_of_the_dashboard_shows_something() {
    let (log, nats) = (Log::on_sqlite(), Nats::start(Version::Current));
    let service = working(&log, &nats).await;
    let server = Prometheus::start(&service.internal, &file("deploy/grafana/alerts.yaml"));
    let prometheus = Client::new(&server.address(), None);

    let dashboard = std::fs::read_to_string(file("deploy/grafana/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let panels: Vec<_> = panels.filter(|panel| panel["type"] != "row").collect();
    for panel in &panels {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let query = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            // What Grafana puts in for "All".
            let query = ["$namespace", "$job", "$instance"]
                .iter()
                .fold(query, |query, variable| query.replace(variable, ".*"));
            assert!(!query.contains('$'), "{title}: {query}");
            let series = shown(&prometheus, title, &query).await;
            for label in named(target["legendFormat"].as_str().unwrap(), "{{") {
                let is_there = |one: &Value| one["metric"][label].is_string();
                assert!(series.iter().all(is_there), "{title} has no {label}: {series:?}");
            }
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap().iter().skip(1) {
        let (name, query) = (&variable["name"], variable["query"]["query"].as_str().unwrap());
        assert_eq!(query, format!("label_values(keyledger_ready, {})", name.as_str().unwrap()));
        let ready = shown(&prometheus, query, "keyledger_ready").await;
        assert!(ready[0]["metric"][name.as_str().unwrap()].is_string(), "{ready:?}");
    }
}

#[keyledger_bounded::test]
async fn every_alert_asks_for_metrics_that_are_there() {
    let (log, nats) = (Log::on_sqlite(), Nats::start(Version::Current));
    let service = working(&log, &nats).await;
    let server = Prometheus::start(&service.internal, &file("deploy/grafana/alerts.yaml"));
    let prometheus = Client::new(&server.address(), None);

    let alerts = yaml("deploy/grafana/alerts.yaml");
    let rules = alerts["groups"][0]["rules"].as_array().unwrap();
    for rule in rules {
        let (name, expression) = (&rule["alert"], rule["expr"].as_str().unwrap());
        let selectors = selectors(expression);
        assert!(!selectors.is_empty(), "{name}");
        let mut labels = Vec::new();
        for selector in selectors {
            let series = shown(&prometheus, &name.to_string(), selector).await;
            labels.extend(series[0]["metric"].as_object().unwrap().keys().cloned());
        }
        let annotations = rule["annotations"].as_object().unwrap().values();
        for label in annotations.flat_map(|text| named(text.as_str().unwrap(), "$labels.")) {
            assert!(labels.iter().any(|known| known == label), "{name} names {label}: {labels:?}");
        }
    }
    // Prometheus has evaluated all of them, and none has an error.
    until("the evaluation of all alerts", async || {
        let answer = prometheus.get("/api/v1/rules").await.json();
        let evaluated = answer["data"]["groups"][0]["rules"].as_array().unwrap().clone();
        assert_eq!(evaluated.len(), rules.len());
        match evaluated.iter().find(|rule| rule["health"] != "ok") {
            Some(rule) if rule["health"] == "unknown" => Err(rule.to_string()),
            Some(rule) => panic!("{rule}"),
            None => Ok(()),
        }
    })
    .await;
}

/// On KurrentDB, the head moves on without events. What is published would seem to fall behind.
#[keyledger_bounded::test]
async fn published_events_keep_up_with_a_head_that_moves_without_events() {
    let (journal, nats) = (Server::start(), Nats::start(Version::Current));
    let folder = Arc::new(TempDir::new().unwrap());
    for is_first in [true, false] {
        let setup = Setup::in_folder(folder.clone()).set("KEYLEDGER_NATS_URL", &nats.url());
        let service = setup.set("KEYLEDGER_JOURNAL_URL", &journal.url()).start().ready().await;
        if is_first {
            service.user("ann").create("the only one").await;
        }
        let position =
            async |name: &str| service.metric(&format!("keyledger_{name}_position")).await;
        let begun = position("journal").await;
        let head = until("a head beyond the last event", async || {
            let head = position("journal").await;
            if head > begun { Ok(head) } else { Err(format!("{head:?}")) }
        })
        .await;
        until("events published up to the head", async || {
            let relayed = position("relay").await;
            if relayed >= head { Ok(()) } else { Err(format!("{relayed:?} of {head:?}")) }
        })
        .await;
        service.stop_well();
    }
}
