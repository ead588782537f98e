//! Collectors that are away, that refuse and that hang: requests and memory do not notice, the log says it
//! once.

use std::net::SocketAddr;

use keyledger_test_servers::free_port;

use super::collector::{Collector, Mode};
use super::sending_to;
use crate::support::wait::until;
use crate::support::{Service, Setup};

const GONE: &str = "the collector does not take what is sent";
const BACK: &str = "the collector takes what is sent again";

/// How often the log has this message about traces.
fn told(service: &Service, message: &str) -> usize {
    let output = service.output();
    let lines = output.lines().filter(|line| line.contains(message));
    lines.filter(|line| line.contains("\"signal\":\"traces\"")).count()
}

/// Waits until the span of a request arrives. Some may be dropped until the first message succeeds.
async fn arrives(service: &Service, collector: &Collector) {
    until("a span", async || {
        work(service, 1).await;
        let has_come = collector.spans().iter().any(|span| span.name() == "GET /keys");
        if has_come { Ok(()) } else { Err("none") }
    })
    .await;
}

async fn work(service: &Service, requests: usize) {
    for _ in 0..requests {
        service.user("ann").get("/keys").await.expect_status(200);
    }
}

#[keyledger_bounded::test]
async fn a_collector_that_refuses_is_told_of_once_and_so_is_its_return() {
    let collector = Collector::start().await;
    // Another attempt would not help, so each message is one request.
    collector.set(Mode::Refuses(400));
    let service = sending_to(&collector).start().ready().await;
    until("traces to be refused", async || {
        work(&service, 1).await;
        if told(&service, GONE) == 1 { Ok(()) } else { Err(service.output()) }
    })
    .await;
    assert!(service.output().contains("status 400"), "{}", service.output());
    for _ in 0..5 {
        work(&service, 1).await;
        collector.more_requests(2).await;
    }
    assert_eq!((told(&service, GONE), told(&service, BACK)), (1, 0), "{}", service.output());
    collector.set(Mode::Takes);
    arrives(&service, &collector).await;
    service.printed(BACK).await;
    assert_eq!(told(&service, GONE), 1, "{}", service.output());
}

#[keyledger_bounded::test]
async fn a_message_that_is_refused_for_a_moment_is_sent_again() {
    let collector = Collector::start().await;
    collector.set(Mode::Refuses(503));
    let setup = sending_to(&collector).set("OTEL_METRICS_EXPORTER", "none");
    let service = setup.set("OTEL_EXPORTER_OTLP_TIMEOUT", "600000").start().ready().await;
    work(&service, 1).await;
    collector.more_requests(1).await;
    collector.set(Mode::Takes);
    collector.span("GET /keys").await;
    assert_eq!(told(&service, GONE), 0, "{}", service.output());
}

#[keyledger_bounded::test]
async fn a_collector_cannot_ask_for_pauses_that_end_the_sending_or_make_it_endless() {
    let collector = Collector::start().await;
    let setup = sending_to(&collector).set("OTEL_EXPORTER_OTLP_TIMEOUT", "2000");
    let service = setup.start().ready().await;
    for pause in ["18446744073709551615", "18446744073709551616", "0", "-1", "soon"] {
        collector.set(Mode::Asks(pause));
        work(&service, 1).await;
        // One with traces, and one with metrics.
        collector.more_requests(2).await;
        collector.set(Mode::Takes);
        arrives(&service, &collector).await;
        until("metrics to be sent", async || {
            let metrics = collector.take_metrics();
            if metrics.is_empty() { Err("none") } else { Ok(()) }
        })
        .await;
        collector.forget_spans();
    }
    let (status, output) = service.stop();
    assert!(status.success() && !output.contains("the program has a defect"), "{output}");
}

#[keyledger_bounded::test]
async fn a_collector_that_starts_later_gets_what_is_new() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let setup = Setup::new()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}/"))
        .set("OTEL_EXPORTER_OTLP_TIMEOUT", "2000")
        .set("OTEL_BSP_SCHEDULE_DELAY", "50")
        .set("OTEL_METRIC_EXPORT_INTERVAL", "100");
    let service = setup.start().ready().await;
    work(&service, 1).await;
    let output = service.printed(GONE).await;
    assert!(!output.contains(&address.to_string()), "the address is not told: {output}");
    let collector = Collector::at(address).await;
    arrives(&service, &collector).await;
    service.printed(BACK).await;
}

#[keyledger_bounded::test]
async fn a_collector_that_hangs_delays_no_request_and_no_end() {
    let collector = Collector::start().await;
    collector.set(Mode::Hangs);
    // Whoever waited for a message would wait longer than any test does.
    let setup = sending_to(&collector).set("OTEL_EXPORTER_OTLP_TIMEOUT", "600000");
    // A queue that is full soon.
    let setup =
        setup.set("OTEL_BSP_MAX_QUEUE_SIZE", "8").set("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4");
    let service = setup.start().ready().await;
    work(&service, 1).await;
    // One with traces, and one with metrics.
    collector.requests(2).await;
    work(&service, 100).await;
    let (status, output) = service.stop();
    assert!(status.success(), "{output}");
    assert!(output.contains("the last traces or metrics are not sent"), "{output}");
}

#[keyledger_bounded::test]
async fn what_is_not_sent_yet_is_sent_before_the_process_ends() {
    // The service waits for a short time only when it ends, which may not be enough on a busy machine.
    let collector = until("all to be sent at the end", async || {
        let collector = Collector::start().await;
        let setup = sending_to(&collector)
            .set("OTEL_BSP_SCHEDULE_DELAY", "3600000")
            .set("OTEL_METRIC_EXPORT_INTERVAL", "3600000");
        let service = setup.start().ready().await;
        service.user("ann").create("late").await;
        service.metric_is("keyledger_read_position", 1).await;
        assert!(collector.spans().is_empty() && collector.metrics().is_empty());
        let (status, output) = service.stop();
        assert!(status.success(), "{output}");
        let is_late = output.contains("the last traces or metrics are not sent");
        if is_late { Err(output) } else { Ok(collector) }
    })
    .await;
    let spans = collector.spans();
    for name in ["POST /keys", "create key", "append", "apply read_tables"] {
        assert!(spans.iter().any(|span| span.name() == name), "{name}: {spans:?}");
    }
    let metrics = collector.metrics();
    let position = metrics.iter().find(|metric| metric.name == "keyledger_read_position");
    assert!(format!("{position:?}").contains("AsInt(1)"), "{position:?}");
}
