//! One connection after the other: accept, limit, speak HTTP/1.1, drain.

use super::limits::Connections;
use super::state::{Phase, Shared};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// When the process closes, a connection that is asked something within this time gets an answer that says it is the
/// last one. Closed at once, it would take a request with it that is already on its way.
const LINGER: Duration = Duration::from_millis(200);

/// What every handler answers with: small bodies that are there as a whole.
pub(super) type Answer = Response<Full<Bytes>>;

/// Answers the requests of one listener on one thread.
pub(super) trait Handler: 'static {
    /// What its answers consist of.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + From<Bytes>
        + 'static;

    /// Answers one request of `peer`.
    fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Self::Body>>;
}

/// An answer with a body; an empty one has no content type.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    if !content_type.is_empty() {
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    answer
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Answer {
    answer(status, "", Bytes::new())
}

/// The same answer as the last one on its connection. Where a body was not read to its end the connection cannot be
/// used again, and the client must hear so before it sends its next request into it (RFC 9112 section 9.6).
pub(super) fn last<B>(mut answer: Response<B>) -> Response<B> {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Whether it is said once for whom a request is, as HTTP/1.1 demands (RFC 9112 section 3.2). Where it is not, whatever
/// stands in front of this process may have taken the request for another host's.
fn has_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host
            .as_bytes()
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte)),
        (None, None) => request.version() < Version::HTTP_11,
        _ => false,
    }
}

fn refused<B: From<Bytes>>() -> Response<B> {
    let mut answer = Response::new(B::from(Bytes::new()));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer
}

/// Accepts until the process closes.
pub(super) async fn accept_loop<H: Handler>(
    listener: TcpListener,
    shared: std::sync::Arc<Shared>,
    connections: std::sync::Arc<Connections>,
    handler: Rc<H>,
    mut phase: watch::Receiver<Phase>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            closed = closing(&mut phase) => return closed,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(place) = connections.admit(peer.ip()) {
                    serve_connection(stream, peer, place, &shared, &handler, &phase);
                }
            }
            Err(error) => {
                // Out of descriptors, or the peer is gone already: the loop must neither end nor spin.
                tracing::warn!(%error, "accept failed; trying again in 50 ms");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Resolves when the process enters [`Phase::Closing`].
pub(super) async fn closing(phase: &mut watch::Receiver<Phase>) {
    // An error means that the sender is gone, which only happens when the process ends.
    let _ended = phase.wait_for(|phase| *phase == Phase::Closing).await;
}

/// Spawns the connection on this thread; `place` is held until it ends.
pub(super) fn serve_connection<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    place: impl Send + 'static,
    shared: &Shared,
    handler: &Rc<H>,
    phase: &watch::Receiver<Phase>,
) {
    // Answers are one write each; waiting for more would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let server = &shared.config.server;
    let mut http = hyper::server::conn::http1::Builder::new();
    // Without a timer, hyper's header timeout does nothing.
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(u64::from(server.header_timeout_ms)))
        .max_buf_size(server.max_header_bytes)
        // The buffer's size alone is no limit: what the last read brought may lie beyond it.
        .max_header_size(server.max_header_bytes)
        .max_headers(server.max_headers)
        .keep_alive(true)
        .half_close(false);
    let (handler, seen, mut phase) = (Rc::clone(handler), Rc::new(phase.clone()), phase.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, seen) = (Rc::clone(&handler), Rc::clone(&seen));
        async move {
            let answer = match has_one_host(&request) {
                true => handler.handle(request, peer).await,
                false => last(refused()),
            };
            // The phase is published once, when it is the closing one, and the publisher goes after that.
            let closing = !matches!(seen.has_changed(), Ok(false));
            Ok::<_, Infallible>(if closing { last(answer) } else { answer })
        }
    });
    tokio::task::spawn_local(async move {
        let _place = place;
        let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = closing(&mut phase) => match tokio::time::timeout(LINGER, connection.as_mut()).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            },
        };
        if let Err(error) = outcome {
            tracing::debug!(%peer, %error, "connection ended");
        }
    });
}
