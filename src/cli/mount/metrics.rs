//! Figures of a mount for Prometheus: `-o metrics=ADDRESS` serves them as text on `/metrics`.
//!
//! They are the figures of `walrusfs status` under stable names; there is no other source. Whoever reaches the address reads them:
//! the drive's label and the mount point are among them, names of files never.

use crate::cli::control::Status;
use crate::cli::exit::{Code, Failure};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The version of the text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Takes the address, so that a mount whose figures nobody can read fails before it begins.
///
/// # Errors
/// The address cannot be used.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::new(Code::Failed, format!("metrics={address}: cannot listen there")).caused_by(error))
}

/// Answers until the process ends; `status` gives the figures of now.
pub(crate) async fn serve(listener: TcpListener, status: Arc<dyn Fn() -> Status + Send + Sync>) {
    let figures = move || {
        let status = Arc::clone(&status);
        async move { ([(header::CONTENT_TYPE, CONTENT_TYPE)], text(&status())) }
    };
    let elsewhere = || async { (StatusCode::NOT_FOUND, "the figures are on /metrics\n") };
    let routes = Router::new().route("/metrics", get(figures)).fallback(elsewhere);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::warn!(%error, "the metrics are served no more");
    }
}

/// A label's value as the format wants it.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// One figure: its name, its kind, what it is, its value.
type Figure = (&'static str, &'static str, &'static str, Option<f64>);

/// The figures in the text format of Prometheus.
pub(crate) fn text(status: &Status) -> String {
    let seconds = |ms: Option<u64>| ms.map(|ms| ms as f64 / 1000.0);
    let count = |value: u64| Some(value as f64);
    let flag = |on: bool| Some(f64::from(u8::from(on)));
    let figures: [Figure; 31] = [
        ("dirty_bytes", "gauge", "Bytes of content only in memory.", count(status.dirty_bytes)),
        ("pending_bytes", "gauge", "Bytes of content durable here and not certified.", count(status.pending_bytes)),
        ("journal_bytes", "gauge", "Bytes of the journal on the local disk.", count(status.journal_bytes)),
        ("capacity_bytes", "gauge", "Bytes that files can hold in all.", count(status.capacity_bytes)),
        ("used_bytes", "gauge", "Bytes that files hold.", count(status.used_bytes)),
        ("pool_capacity_bytes", "gauge", "Encoded bytes that were bought.", count(status.pool_capacity_bytes)),
        ("pool_used_bytes", "gauge", "Encoded bytes that blobs take.", count(status.pool_used_bytes)),
        ("expires_seconds", "gauge", "When the storage ends, Unix time.", seconds(status.expires_at_ms)),
        ("certified_seconds", "gauge", "When the served commit was made, Unix time.", seconds(status.certified_at_ms)),
        ("sequence", "counter", "The Drive's sequence that is served.", count(status.sequence)),
        ("read_only", "gauge", "Whether changes are refused.", flag(status.read_only)),
        ("mounted", "gauge", "Whether the mount is there.", flag(status.state == "mounted")),
        ("problem", "gauge", "Whether something keeps changes from being certified.", flag(status.problem.is_some())),
        ("busy", "gauge", "Whether the pipeline is at work.", flag(status.stage != "idle")),
        ("commits_total", "counter", "Commits since the mount.", count(status.commits)),
        ("packs_uploaded_total", "counter", "Packs uploaded since the mount.", count(status.uploaded_packs)),
        ("uploaded_bytes_total", "counter", "Bytes of packs uploaded since the mount.", count(status.uploaded_bytes)),
        ("written_bytes_total", "counter", "Bytes written by programs since the mount.", count(status.written_bytes)),
        ("sent_bytes_total", "counter", "Bytes of slivers sent to nodes since the mount.", count(status.sent_bytes)),
        (
            "fetched_bytes_total",
            "counter",
            "Bytes fetched from the network since the mount.",
            count(status.reads.fetched_bytes),
        ),
        ("fetch_failures_total", "counter", "Fetches that failed since the mount.", count(status.reads.failed)),
        ("transactions_total", "counter", "Transactions since the mount.", count(status.transactions)),
        ("paid_mist", "gauge", "MIST paid since the mount, less what came back.", Some(status.paid_mist as f64)),
        ("paid_frost", "gauge", "FROST paid since the mount, less what came back.", Some(status.paid_frost as f64)),
        (
            "cost_mist",
            "gauge",
            "MIST that this machine has paid for the drive.",
            status.cost.map(|cost| cost.mist as f64),
        ),
        (
            "cost_frost",
            "gauge",
            "FROST that this machine has paid for the drive.",
            status.cost.map(|cost| cost.frost as f64),
        ),
        ("cache_hits_total", "counter", "Lookups that the sliver cache answered.", count(status.reads.cache.hits())),
        ("cache_misses_total", "counter", "Lookups that it did not.", count(status.reads.cache.misses)),
        ("cache_bytes", "gauge", "Bytes in the sliver cache on disk.", count(status.cache_bytes)),
        ("nodes", "gauge", "Storage nodes of this epoch.", count(status.nodes)),
        ("nodes_avoided", "gauge", "Nodes that failed or lied lately and are asked last.", count(status.nodes_avoided)),
    ];
    let labels = format!(
        "drive=\"{}\",network=\"{}\",mountpoint=\"{}\"",
        escape(&status.drive),
        escape(&status.network),
        escape(&status.mountpoint.to_string_lossy())
    );
    let mut text = format!(
        "# HELP walrusfs_info The mount and the program that serves it.\n# TYPE walrusfs_info gauge\n\
         walrusfs_info{{{labels},version=\"{}\"}} 1\n",
        env!("CARGO_PKG_VERSION")
    );
    for (name, kind, help, value) in figures {
        let Some(value) = value else { continue };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "# HELP walrusfs_{name} {help}\n# TYPE walrusfs_{name} {kind}\nwalrusfs_{name}{{{labels}}} {value}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let status = Status {
            drive: "walrus:a\"b".to_owned(),
            mountpoint: "/m\\n".into(),
            pending_bytes: 1 << 53,
            certified_at_ms: Some(1_795_228_200_500),
            stage: "idle".to_owned(),
            ..Status::default()
        };
        let text = text(&status);
        let labels = "{drive=\"walrus:a\\\"b\",network=\"\",mountpoint=\"/m\\\\n\"}";
        assert!(text.contains(&format!("\nwalrusfs_pending_bytes{labels} 9007199254740992\n")), "{text}");
        assert!(text.contains(&format!("\nwalrusfs_certified_seconds{labels} 1795228200.5\n")), "{text}");
        assert!(!text.contains("expires_seconds"), "what is not known is not there");
        assert!(text.contains(&format!("\nwalrusfs_busy{labels} 0\n")));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("walrusfs_") && value.parse::<f64>().is_ok(), "{line}");
        }
        let helps = text.lines().filter(|line| line.starts_with("# HELP")).count();
        assert_eq!(helps, text.lines().filter(|line| line.starts_with("# TYPE")).count());
    }
}
