//! Questions to a server's operations listener: is it ready, and how many candidates survive.

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;

/// The largest answer that is read.
const MAX_BYTES: usize = 16 << 20;

/// `GET path`: status and text.
pub(crate) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let request = Request::get(path);
    ask(address, request).await.with_context(|| format!("GET {path}"))
}

/// `POST path` without a body, with an API key: status and text.
pub(crate) async fn post(address: SocketAddr, path: &str, key: &str) -> anyhow::Result<(u16, String)> {
    let request = Request::post(path).header("authorization", format!("Bearer {key}"));
    ask(address, request).await.with_context(|| format!("POST {path}"))
}

async fn ask(address: SocketAddr, request: hyper::http::request::Builder) -> anyhow::Result<(u16, String)> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends when the sender is dropped.
    tokio::spawn(async { drop(connection.await) });
    let request = request.header("host", address.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer cannot be read: {error}"))?;
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
}

/// Median and 99th percentile of the candidates that survive per impression; `None` where the server does not say.
pub(crate) async fn survivors(address: SocketAddr) -> anyhow::Result<[Option<f64>; 2]> {
    let (status, text) = get(address, "/metrics").await.context("cannot read the server's metrics")?;
    ensure!(status == 200, "the server answers /metrics with status {status}");
    Ok(["0.5", "0.99"].map(|quantile| survivors_at(&text, quantile)))
}

/// Reads `outbid_survivors{…quantile="Q"…} V` out of the Prometheus text format.
fn survivors_at(text: &str, quantile: &str) -> Option<f64> {
    let label = format!("quantile=\"{quantile}\"");
    text.lines().find_map(|line| {
        let (labels, value) = line.strip_prefix("outbid_survivors{")?.split_once('}')?;
        labels.split(',').any(|own| own.trim() == label).then_some(())?;
        value.split_whitespace().next()?.parse::<f64>().ok().filter(|value| value.is_finite())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survivors_are_found_among_other_metrics() {
        let text = "# TYPE outbid_survivors summary\noutbid_survivors_sum 3\n\
                    outbid_survivors{quantile=\"0.5\"} 16\noutbid_survivors{core=\"0\",quantile=\"0.99\"} 63.5 1700\n\
                    outbid_survivors{quantile=\"0.999\"} NaN\n";
        assert_eq!(survivors_at(text, "0.5"), Some(16.0));
        assert_eq!(survivors_at(text, "0.99"), Some(63.5));
        assert_eq!(survivors_at(text, "0.999"), None);
        assert_eq!(survivors_at("", "0.5"), None);
    }
}
