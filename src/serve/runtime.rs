//! Threads and listeners: one thread with a current-thread runtime per serving core, one each for tracking, admin and
//! operations. A few long exchange connections may all hash to one core under `SO_REUSEPORT`; the balanced acceptor is
//! the alternative for them.

use super::bid::BidHandler;
use super::descriptors;
use super::http::{Handler, accept_loop, closing, serve_connection};
use super::limits::{ConnectionSlot, Connections, Overload, Refused};
use super::state::{Phase, Shared};
use super::{admin::AdminHandler, notice::NoticeHandler, ops::OpsHandler};
use crate::config::Acceptor;
use crate::model::exchange::{ExchangeAuth, ExchangeProfile};
use crate::telemetry::catalogue;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

/// Waiting connections per listener in the kernel.
const BACKLOG: i32 = 4_096;
/// How often a core feels its own pulse, see [`Overload`].
const HEARTBEAT: Duration = Duration::from_millis(5);

/// Why serving cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port is taken, or not ours to take.
    #[error("cannot listen on {address} ({key}): {source}; stop what uses it or give another address")]
    Bind {
        /// The configuration key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// An exchange without authentication would be reachable from outside.
    #[error(
        "listen.bid = {address} is beyond loopback, and the exchange {exchange:?} has no authentication: anyone could \
         ask for bids and fire their notices; give it `auth`, or listen on loopback"
    )]
    Unauthenticated {
        /// The address.
        address: SocketAddr,
        /// The exchange.
        exchange: String,
    },
    /// The process may open too few files.
    #[error("the process may open {limit} files and needs more than {needed}; raise `ulimit -n`")]
    Descriptors {
        /// What it may.
        limit: u64,
        /// What it needs without any connection.
        needed: u64,
    },
    /// A thread or its runtime could not be made.
    #[error("cannot start the {0} thread: {1}")]
    Thread(String, std::io::Error),
}

/// Where the listeners are, with the ports that the system chose.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// `listen.bid`.
    pub bid: SocketAddr,
    /// `listen.track`.
    pub track: SocketAddr,
    /// `listen.admin`.
    pub admin: SocketAddr,
    /// `listen.ops`.
    pub ops: SocketAddr,
}

/// A running server.
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<()>>,
    open: Vec<Arc<Connections>>,
}

/// Binds every listener, starts every thread and enters [`Phase::Serving`].
pub fn start(shared: Arc<Shared>) -> Result<Running, ServeError> {
    let listen = shared.config.listen.clone();
    refuse_unauthenticated(&shared, listen.bid)?;
    // Nothing is bid on before it is known how fast to spend.
    shared.pace();
    let cores = shared.metrics.cores();
    shared.funnels.prepare(&shared.snapshots.load().catalog, cores);
    let balanced = shared.config.server.acceptor == Acceptor::Balanced;
    let (phase, watched) = watch::channel(Phase::Serving);
    let mut starter = Starter { shared: &shared, phase: watched, threads: Vec::new(), open: Vec::new() };
    let shares = shares(&shared, cores as u64 + 3 + u64::from(balanced))?;
    let bid_connections = starter.connections("bid", shares.bid);
    let first = bind("listen.bid", listen.bid, !balanced)?;
    let bid = local("listen.bid", &first)?;
    if balanced {
        starter.balanced(first, cores, &bid_connections)?;
    } else {
        let mut sockets = vec![first];
        for _ in 1..cores {
            sockets.push(bind("listen.bid", bid, true)?);
        }
        for (core, socket) in sockets.into_iter().enumerate() {
            starter.bid_core(core as u16, socket, &bid_connections)?;
        }
    }
    let track_connections = starter.connections("track", shares.track);
    let track_socket = bind("listen.track", listen.track, false)?;
    let track = local("listen.track", &track_socket)?;
    starter
        .listener("track", track_socket, &track_connections, |shared| Rc::new(NoticeHandler::new(shared)))?;
    let admin_connections = starter.connections("admin", shares.admin);
    let admin_socket = bind("listen.admin", listen.admin, false)?;
    let admin = local("listen.admin", &admin_socket)?;
    starter
        .listener("admin", admin_socket, &admin_connections, |shared| Rc::new(AdminHandler::new(shared)))?;
    let ops_connections = starter.connections("ops", shares.ops);
    let ops_socket = bind("listen.ops", listen.ops, false)?;
    let ops = local("listen.ops", &ops_socket)?;
    starter.listener("ops", ops_socket, &ops_connections, |shared| Rc::new(OpsHandler::new(shared)))?;
    let Starter { threads, open, .. } = starter;
    shared.enter(Phase::Serving);
    Ok(Running { addresses: Addresses { bid, track, admin, ops }, shared, phase, threads, open })
}

impl Running {
    /// Stops without dropping an answer: `/readyz` says 503 for the grace, then every connection is closed after its
    /// current answer, and what is still open at the timeout is abandoned. Returns how many connections were.
    pub async fn drain(self) -> usize {
        let server = &self.shared.config.server;
        self.shared.enter(Phase::Draining);
        let grace = Duration::from_millis(u64::from(server.drain_grace_ms));
        let timeout = Duration::from_millis(u64::from(server.drain_timeout_ms));
        tokio::time::sleep(grace.min(timeout)).await;
        self.close(timeout.saturating_sub(grace)).await
    }

    /// Closes every connection after its current answer, without a grace. For tests and short-lived servers.
    pub async fn close(self, timeout: Duration) -> usize {
        self.shared.enter(Phase::Closing);
        // No receiver is left when every thread has ended by itself.
        self.phase.send_replace(Phase::Closing);
        let step = Duration::from_millis(10);
        let mut left = timeout;
        while self.open() > 0 && !left.is_zero() {
            tokio::time::sleep(step).await;
            left = left.saturating_sub(step);
        }
        let abandoned = self.open();
        if abandoned == 0 {
            for thread in self.threads {
                if thread.join().is_err() {
                    tracing::error!("a serving thread had panicked");
                }
            }
        }
        abandoned
    }

    fn open(&self) -> usize {
        self.open.iter().map(|connections| connections.open()).sum()
    }
}

/// How many connections each listener may have; fewer than configured where the system allows fewer.
fn shares(shared: &Shared, threads: u64) -> Result<descriptors::Shares, ServeError> {
    let most = shared.config.server.max_connections;
    let (limit, needed) = (descriptors::raise(), descriptors::needed(threads));
    let shares = descriptors::shares(limit, needed, most);
    let shares = shares.ok_or(ServeError::Descriptors { limit: limit.unwrap_or(u64::MAX), needed })?;
    if shares.bid < most {
        let (limit, bid, track) = (limit.unwrap_or(u64::MAX), shares.bid, shares.track);
        tracing::warn!(limit, bid, track, "fewer connections than server.max_connections: raise `ulimit -n`");
    }
    Ok(shares)
}

fn refuse_unauthenticated(shared: &Shared, address: SocketAddr) -> Result<(), ServeError> {
    let snapshot = shared.snapshots.load();
    match snapshot.catalog.exchanges().iter().find(|profile| is_open_to_anyone(profile, address)) {
        Some(open) => Err(ServeError::Unauthenticated { address, exchange: open.name.clone() }),
        None => Ok(()),
    }
}

/// Whether anyone could ask for bids in this exchange's name on a bid listener at `address`.
pub fn is_open_to_anyone(profile: &ExchangeProfile, address: SocketAddr) -> bool {
    !address.ip().is_loopback() && profile.auth == ExchangeAuth::LoopbackOnly
}

fn bind(
    key: &'static str,
    address: SocketAddr,
    reuse_port: bool,
) -> Result<std::net::TcpListener, ServeError> {
    let bound = || -> std::io::Result<std::net::TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if reuse_port {
            socket.set_reuse_port(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bound().map_err(|source| ServeError::Bind { key, address, source })
}

fn local(key: &'static str, listener: &std::net::TcpListener) -> Result<SocketAddr, ServeError> {
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|source| ServeError::Bind { key, address: any, source })
}

struct Starter<'s> {
    shared: &'s Arc<Shared>,
    phase: watch::Receiver<Phase>,
    threads: Vec<JoinHandle<()>>,
    open: Vec<Arc<Connections>>,
}

impl Starter<'_> {
    fn connections(&mut self, listener: &str, max: usize) -> Arc<Connections> {
        let (server, metrics) = (&self.shared.config.server, &self.shared.metrics);
        let connections = Connections::new(
            max,
            server.max_connections_per_ip,
            Refused {
                total: metrics.counter(catalogue::CONNECTIONS_REFUSED, &[listener, "total"]),
                per_ip: metrics.counter(catalogue::CONNECTIONS_REFUSED, &[listener, "per_ip"]),
            },
            metrics.gauge(catalogue::CONNECTIONS, &[listener]),
        );
        self.open.push(Arc::clone(&connections));
        connections
    }

    /// Runs `body` on a thread with its own current-thread runtime.
    fn thread<F, W>(&mut self, name: &str, body: F) -> Result<(), ServeError>
    where
        F: FnOnce() -> W + Send + 'static,
        W: Future<Output = ()> + 'static,
    {
        let failed = |error| ServeError::Thread(name.to_owned(), error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let run = move || {
            let local = LocalSet::new();
            runtime.block_on(local.run_until(body()));
            // Connections that are still answering end before the thread does.
            runtime.block_on(local);
        };
        self.threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(failed)?);
        Ok(())
    }

    /// A listener with a handler of its own.
    fn listener<H: Handler>(
        &mut self,
        name: &str,
        socket: std::net::TcpListener,
        connections: &Arc<Connections>,
        handler: impl FnOnce(Arc<Shared>) -> Rc<H> + Send + 'static,
    ) -> Result<(), ServeError> {
        let (shared, connections, phase) =
            (Arc::clone(self.shared), Arc::clone(connections), self.phase.clone());
        self.thread(name, move || async move {
            let handler = handler(Arc::clone(&shared));
            match TcpListener::from_std(socket) {
                Ok(listener) => accept_loop(listener, shared, connections, handler, phase).await,
                Err(error) => tracing::error!(%error, "a listener cannot be watched"),
            }
        })
    }

    /// A serving core with its own listening socket.
    fn bid_core(
        &mut self,
        core: u16,
        socket: std::net::TcpListener,
        connections: &Arc<Connections>,
    ) -> Result<(), ServeError> {
        self.listener(&format!("bid-{core}"), socket, connections, move |shared| bid_handler(shared, core))
    }

    /// Serving cores that are handed their connections by one acceptor, each to the core with the fewest.
    fn balanced(
        &mut self,
        socket: std::net::TcpListener,
        cores: usize,
        connections: &Arc<Connections>,
    ) -> Result<(), ServeError> {
        let mut queues = Vec::with_capacity(cores);
        for core in 0..cores {
            let (sender, receiver) = mpsc::unbounded_channel::<Accepted>();
            queues.push((sender, Arc::new(AtomicUsize::new(0))));
            let (shared, phase) = (Arc::clone(self.shared), self.phase.clone());
            self.thread(&format!("bid-{core}"), move || handed_loop(shared, core as u16, receiver, phase))?;
        }
        let (connections, phase) = (Arc::clone(connections), self.phase.clone());
        self.thread("acceptor", move || hand_out(socket, connections, queues, phase))
    }
}

/// A connection on its way from the acceptor to a core, with its places.
struct Accepted {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    places: (ConnectionSlot, CoreLoad),
}

/// One connection of a core, counted until it ends.
struct CoreLoad(Arc<AtomicUsize>);

impl CoreLoad {
    fn add(count: &Arc<AtomicUsize>) -> CoreLoad {
        count.fetch_add(1, Relaxed);
        CoreLoad(Arc::clone(count))
    }
}

impl Drop for CoreLoad {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A serving core that is handed its connections.
async fn handed_loop(
    shared: Arc<Shared>,
    core: u16,
    mut receiver: mpsc::UnboundedReceiver<Accepted>,
    mut phase: watch::Receiver<Phase>,
) {
    let handler = bid_handler(Arc::clone(&shared), core);
    let watched = phase.clone();
    loop {
        let next = tokio::select! {
            biased;
            () = closing(&mut phase) => return,
            next = receiver.recv() => next,
        };
        let Some(Accepted { stream, peer, places }) = next else { return };
        match TcpStream::from_std(stream) {
            Ok(stream) => serve_connection(stream, peer, places, &shared, &handler, &watched),
            Err(error) => tracing::warn!(%error, "an accepted connection cannot be watched"),
        }
    }
}

/// Accepts and hands each connection to the core with the fewest.
async fn hand_out(
    socket: std::net::TcpListener,
    connections: Arc<Connections>,
    queues: Vec<(mpsc::UnboundedSender<Accepted>, Arc<AtomicUsize>)>,
    mut phase: watch::Receiver<Phase>,
) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener cannot be watched"),
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = closing(&mut phase) => return,
            accepted = listener.accept() => accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))),
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(place) = connections.admit(peer.ip()) else { continue };
        let Some((queue, load)) = queues.iter().min_by_key(|(_, load)| load.load(Relaxed)) else { return };
        let places = (place, CoreLoad::add(load));
        if queue.send(Accepted { stream, peer, places }).is_err() {
            return;
        }
    }
}

/// The handler of a serving core, with the heartbeat that tells it when it is overloaded and what was published.
fn bid_handler(shared: Arc<Shared>, core: u16) -> Rc<BidHandler> {
    let server = &shared.config.server;
    let ms = |ms: u32| Duration::from_millis(u64::from(ms));
    let overload = Rc::new(Overload::new(ms(server.queue_shed_ms), ms(server.queue_shed_window_ms)));
    let clock = Arc::clone(&shared.clock);
    let handler = Rc::new(BidHandler::new(shared, core, Rc::clone(&overload)));
    let (pulse, alive) = (Rc::downgrade(&overload), Rc::downgrade(&handler));
    tokio::task::spawn_local(async move {
        while let Some(handler) = alive.upgrade() {
            let due = clock.mono_ns() + HEARTBEAT.as_nanos() as u64;
            handler.look_for_news();
            drop(handler);
            tokio::time::sleep(HEARTBEAT).await;
            let now = clock.mono_ns();
            // tokio's timer rounds up to the next millisecond; that much is no lag.
            let lag = now.saturating_sub(due).saturating_sub(1_000_000);
            if let Some(overload) = pulse.upgrade() {
                overload.beat(now, lag);
            }
        }
    });
    handler
}
