//! The bare server: what answering an HTTP request costs when nothing is decided. It reads the whole body and answers a
//! fixed number of bytes, on the same runtime, socket options and hyper settings as the real server's bid listener.

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Signal, set_parent_process_death_signal};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddr;
use std::time::Duration;

/// The largest answer.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// Serves until it is ended; ends with the process that started it.
pub(crate) fn run(listen: &[SocketAddr], bytes: usize) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let answer = answer(bytes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut listeners = tokio::task::JoinSet::new();
        for address in listen {
            let listener = bind(*address).with_context(|| format!("cannot listen on {address}"))?;
            listeners.spawn(accept(listener, answer.clone()));
        }
        match listeners.join_next().await {
            Some(ended) => ended?,
            None => Ok(()),
        }
    })
}

fn bind(address: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    tokio::net::TcpListener::from_std(socket.into())
}

async fn accept(listener: tokio::net::TcpListener, answer: Bytes) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        let service = service_fn(move |request| respond(request, answer.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(30))
            .keep_alive(true)
            .serve_connection(TokioIo::new(stream), service);
        // A client that breaks off is its own affair.
        tokio::spawn(async { drop(connection.await) });
    }
}

async fn respond(request: Request<Incoming>, answer: Bytes) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    drop(body);
    let is_empty = answer.is_empty();
    let mut response = Response::new(Full::new(answer));
    if is_empty {
        *response.status_mut() = StatusCode::NO_CONTENT;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(response)
}

/// A JSON text of exactly so many bytes.
fn answer(bytes: usize) -> Bytes {
    match bytes {
        0 | 1 => Bytes::from("1".repeat(bytes)),
        _ => Bytes::from(format!("\"{}\"", "x".repeat(bytes - 2))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_json_of_the_wanted_length() {
        for bytes in [1, 2, 3, 777] {
            let answer = answer(bytes);
            assert_eq!(answer.len(), bytes);
            assert!(serde_json::from_slice::<serde_json::Value>(&answer).is_ok());
        }
        assert!(answer(0).is_empty());
    }
}
