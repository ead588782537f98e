//! The objects that the chart renders.

use serde_json::{Value, json};

use super::{FILES, Objects, answer, file, yaml};

/// Values with which all that can be exposed is exposed.
fn exposed() -> Value {
    json!({
        "ingress": {"enabled": true, "hosts": [{"host": "keys.example.com", "paths": ["/"]}]},
        "service": {"type": "LoadBalancer", "port": 8081},
        "internalService": {"port": 80},
    })
}

#[keyledger_bounded::test]
fn the_internal_listener_is_exposed_to_nobody_outside() {
    for values in FILES {
        for more in [json!({}), exposed()] {
            let objects = Objects::with(values, &more);
            let port = |name: &str| {
                let ports = objects.container()["ports"].as_array().unwrap();
                ports.iter().find(|port| port["name"] == name).unwrap()["containerPort"].clone()
            };
            let listens = |name: &str, port: &Value| {
                let address = objects.setting(name);
                assert!(address.ends_with(&format!(":{port}")), "{name} is {address}");
            };
            listens("KEYLEDGER_LISTEN", &port("http"));
            listens("KEYLEDGER_INTERNAL_LISTEN", &port("internal"));

            let services = objects.all("Service");
            let (internal, public): (Vec<_>, Vec<_>) = services.into_iter().partition(|service| {
                service["spec"]["type"] == "ClusterIP"
                    && service["metadata"]["name"] == "keyledger-internal"
            });
            assert_eq!((internal.len(), public.len()), (1, 1), "{values}");
            let targets = |service: &Value| -> Vec<Value> {
                let ports = service["spec"]["ports"].as_array().unwrap().iter();
                ports.map(|port| port["targetPort"].clone()).collect()
            };
            assert_eq!(targets(internal[0]), ["internal"], "{values}");
            assert_eq!(targets(public[0]), ["http"], "{values}");

            for ingress in objects.all("Ingress") {
                let rules = ingress["spec"]["rules"].as_array().unwrap().iter();
                let paths = rules.flat_map(|rule| rule["http"]["paths"].as_array().unwrap());
                let backends: Vec<_> = paths.map(|path| &path["backend"]["service"]).collect();
                assert!(!backends.is_empty() && ingress["spec"]["defaultBackend"].is_null());
                for backend in backends {
                    let to =
                        json!({"name": public[0]["metadata"]["name"], "port": {"name": "http"}});
                    assert_eq!(*backend, to, "{values}");
                }
            }
            for rule in objects.one("NetworkPolicy")["spec"]["ingress"].as_array().unwrap() {
                let is_public = rule["ports"] == json!([{"port": "http"}]);
                let has_callers = rule["from"].as_array().is_some_and(|from| !from.is_empty());
                assert!(is_public || has_callers, "everybody may ask: {rule}");
            }
        }
    }
    assert_eq!(Objects::with("postgres", &exposed()).all("Ingress").len(), 1);
}

#[keyledger_bounded::test]
fn a_network_policy_without_internal_callers_admits_none() {
    let objects = Objects::with("postgres", &json!({"networkPolicy": {"internalFrom": []}}));
    let policy = &objects.one("NetworkPolicy")["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress"]));
    assert_eq!(policy["ingress"], json!([{"ports": [{"port": "http"}]}]));
}

#[keyledger_bounded::test]
fn a_store_on_sqlite_has_one_pod_with_a_volume() {
    let secret = json!({"values": ["KEYLEDGER_READ_URL", "KEYLEDGER_JWT_HS256_SECRET"]});
    let journal_alone = json!({"stores": {"readTables": "postgres"}, "secret": secret});
    for stores in [json!({}), journal_alone] {
        let objects = Objects::with("sqlite", &stores);
        let set = &objects.one("StatefulSet")["spec"];
        assert_eq!(set["replicas"], 1);
        let claim = &set["volumeClaimTemplates"][0];
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "8Gi");
        let mounts = objects.container()["volumeMounts"].as_array().unwrap().iter();
        let mount = mounts.clone().find(|mount| mount["name"] == claim["metadata"]["name"]);
        let folder = mount.unwrap()["mountPath"].as_str().unwrap();
        let urls: Vec<_> =
            objects.environment().into_iter().filter(|(_, value)| value.contains("://")).collect();
        assert!(!urls.is_empty());
        for (name, url) in urls {
            assert!(url.starts_with(&format!("sqlite://{folder}/")), "{name} is {url}");
        }
        assert!(objects.all("PodDisruptionBudget").is_empty(), "it would hold up every drain");
    }
}

#[keyledger_bounded::test]
fn several_nodes_are_replaced_while_the_others_serve() {
    let objects = Objects::of("postgres");
    let deployment = &objects.one("Deployment")["spec"];
    assert_eq!(deployment["replicas"], 3);
    assert_eq!(
        deployment["strategy"]["rollingUpdate"],
        json!({"maxUnavailable": 0, "maxSurge": 1})
    );
    assert_eq!(objects.one("PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
    // With a signing key, each pod writes its checkpoints somewhere.
    let checkpoints = objects.setting("KEYLEDGER_AUDIT_CHECKPOINTS");
    let mounts = objects.container()["volumeMounts"].as_array().unwrap();
    let is_there = |mount: &&Value| {
        mount["readOnly"].is_null() && checkpoints.starts_with(mount["mountPath"].as_str().unwrap())
    };
    assert_eq!(mounts.iter().filter(is_there).count(), 1, "{checkpoints}: {mounts:?}");
    assert_eq!(Objects::of("everything").one("StatefulSet")["spec"]["replicas"], 3);
}

#[keyledger_bounded::test]
fn pods_can_do_no_more_than_they_need() {
    for values in FILES {
        let objects = Objects::of(values);
        let pod = objects.pod();
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(objects.one("ServiceAccount")["automountServiceAccountToken"], false);
        assert_eq!(pod["enableServiceLinks"], false);
        let user = &pod["securityContext"];
        assert_eq!(user["runAsNonRoot"], true);
        assert_eq!(user["seccompProfile"]["type"], "RuntimeDefault");
        let rights = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        assert_eq!(objects.container()["securityContext"], rights);
        // Secrets are files that only the process can read.
        let volumes = pod["volumes"].as_array().unwrap();
        let secret = volumes.iter().find(|volume| volume["name"] == "secret").unwrap();
        assert_eq!(secret["secret"]["defaultMode"], 0o440);
        assert_eq!(user["fsGroup"], user["runAsGroup"]);
        assert!(objects.container()["envFrom"].is_null());
    }
}

#[keyledger_bounded::test]
fn probes_ask_the_internal_listener_and_a_stop_has_time_enough() {
    for values in FILES {
        let objects = Objects::of(values);
        let container = objects.container();
        for (probe, path) in [
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ] {
            assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": "internal"}));
        }
        let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
        let grace = objects.setting("KEYLEDGER_SHUTDOWN_GRACE");
        let grace: u64 = grace.strip_suffix('s').unwrap().parse().unwrap();
        let all = objects.pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(all >= pause + grace + 5, "{values}: {all} s for {pause} s and {grace} s");
    }
}

#[keyledger_bounded::test]
fn whatever_selects_pods_or_services_finds_them() {
    for values in FILES {
        let objects = Objects::of(values);
        let pods = &objects.workload()["spec"]["template"]["metadata"]["labels"];
        let finds = |selector: &Value, labels: &Value| {
            let selector = selector.as_object().unwrap();
            !selector.is_empty() && selector.iter().all(|(name, value)| labels[name] == *value)
        };
        let mut selectors = vec![&objects.workload()["spec"]["selector"]["matchLabels"]];
        selectors.extend(objects.all("Service").iter().map(|it| &it["spec"]["selector"]));
        selectors.push(&objects.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]);
        selectors.extend(
            objects
                .all("PodDisruptionBudget")
                .iter()
                .map(|it| &it["spec"]["selector"]["matchLabels"]),
        );
        for selector in selectors {
            assert!(finds(selector, pods), "{values}: {selector} does not find {pods}");
        }
        for monitor in objects.all("ServiceMonitor") {
            let selector = &monitor["spec"]["selector"]["matchLabels"];
            let found = |service: &&&Value| finds(selector, &service["metadata"]["labels"]);
            let services = objects.all("Service");
            let found: Vec<_> = services.iter().filter(found).collect();
            assert_eq!(found.len(), 1, "{values}: {selector}");
            assert_eq!(
                found[0]["spec"]["ports"][0]["name"],
                monitor["spec"]["endpoints"][0]["port"]
            );
        }
    }
}

#[keyledger_bounded::test]
fn names_are_never_too_long() {
    let more = json!({"fullnameOverride": "k".repeat(100), "nameOverride": "n".repeat(100)});
    for object in Objects::with("everything", &more).0 {
        let labels = object["metadata"]["labels"].as_object().unwrap().values();
        for text in labels.chain([&object["metadata"]["name"]]) {
            assert!(text.as_str().unwrap().len() <= 63, "{text}");
        }
    }
}

#[keyledger_bounded::test]
fn prometheus_and_grafana_get_the_files_of_the_repository() {
    let objects = Objects::of("everything");
    assert_eq!(objects.one("PrometheusRule")["spec"], yaml("deploy/grafana/alerts.yaml"));
    let dashboard = objects.one("ConfigMap")["data"]["keyledger.json"].as_str().unwrap();
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    let text = std::fs::read_to_string(file("deploy/grafana/dashboard.json")).unwrap();
    assert_eq!(dashboard, serde_json::from_str::<Value>(&text).unwrap());
    let labels = |kind| objects.one(kind)["metadata"]["labels"].clone();
    assert_eq!(labels("ConfigMap")["grafana_dashboard"], "1");
    assert_eq!(labels("PrometheusRule")["release"], "prometheus");
    for kind in ["PrometheusRule", "ServiceMonitor", "ConfigMap", "Ingress"] {
        assert!(Objects::of("postgres").all(kind).is_empty(), "{kind} was not asked for");
    }
}

#[keyledger_bounded::test]
fn the_chart_has_the_version_of_the_program() {
    let chart = yaml("deploy/helm/keyledger/Chart.yaml");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    let image = format!("keyledger:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(Objects::of("postgres").container()["image"], image);
}

#[keyledger_bounded::test]
fn the_notes_say_where_keys_are_made_and_verified() {
    let notes = |values| answer(values, &json!({}))["notes"].as_str().unwrap().to_owned();
    let told = notes("sqlite");
    assert!(told.contains("http://keyledger.keys:80/keys"), "{told}");
    assert!(told.contains("http://keyledger-internal.keys:8081/verify"), "{told}");
    assert!(told.contains("claim data-keyledger-0"), "{told}");
    assert!(notes("everything").contains("https://keys.example.com/keys"));
    assert!(notes("postgres").contains("a file that a pod loses with its end"));
}
