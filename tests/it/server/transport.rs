//! Trial C1, the transport's half: what is wrong before a body is read, or with the way it comes.

use super::{Client, Reply, Server, Setup, good_request};
use outbid::exchange::deflate;
use outbid::model::exchange::{ExchangeAuth, IpNet};
use outbid::serve::ServeError;
use std::time::{Duration, Instant};

const JSON: (&str, &str) = ("content-type", "application/json");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

fn good() -> Vec<u8> {
    good_request("good").to_string().into_bytes()
}

/// The server is as well as before.
fn assert_alive(server: &Server) {
    assert_eq!(server.exchange().bid("demo", &good()).unwrap().status, 200);
    assert_eq!(server.metric("outbid_panics_total"), 0);
}

#[test]
fn json_is_what_is_read_whatever_its_parameters_and_nothing_else() {
    let server = Setup::demo().start();
    let check = |headers: &[(&str, &str)], status: u16| {
        let reply = server.exchange().send("POST", "/openrtb2/demo", headers, &good()).unwrap();
        assert_eq!(reply.status, status, "{headers:?}");
    };
    check(&[], 200);
    for media in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "APPLICATION/JSON",
        "application/json ; x=y",
        "text/plain",
        "text/json",
        "",
    ] {
        check(&[("content-type", media)], 200);
    }
    for media in
        ["application/protobuf", "text/html", "application/xml", "multipart/form-data", "json", "\u{e9}"]
    {
        check(&[("content-type", media)], 415);
    }
    check(&[JSON, ("content-encoding", "identity")], 200);
    for encoding in ["br", "deflate", "zstd", "gzip, gzip", "\u{e9}"] {
        check(&[JSON, ("content-encoding", encoding)], 415);
    }
    assert_alive(&server);
}

#[test]
fn only_a_post_to_a_known_exchange_is_a_bid_request() {
    let server = Setup::demo().start();
    let check = |method: &str, path: &str, status: u16| {
        let reply = server.exchange().send(method, path, &[JSON], &good()).unwrap();
        assert_eq!(reply.status, status, "{method} {path}");
    };
    check("POST", "/openrtb2/demo", 200);
    check("POST", "/openrtb2/demo2", 200);
    check("POST", "/openrtb2/demo?x=y", 200);
    for path in [
        "/",
        "/openrtb2",
        "/openrtb2/",
        "/openrtb2/demo3",
        "/openrtb2/DEMO",
        "/openrtb3/demo",
        "/openrtb2/demo/a/b",
    ] {
        check("POST", path, 404);
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        check(method, "/openrtb2/demo", 404);
    }
    assert_alive(&server);
}

#[test]
fn gzip_is_read_when_it_is_gzip_and_refused_when_it_is_not() {
    let server = Setup::demo().start();
    let (good, zipped) = (good(), deflate(&good()));
    let mut client = server.exchange();
    let mut check = |name: &str, body: &[u8], status: u16| {
        for encoding in [GZIP, ("content-encoding", "x-gzip"), ("content-encoding", "GZIP")] {
            let reply = client.send("POST", "/openrtb2/demo", &[JSON, encoding], body).unwrap();
            assert_eq!((reply.status, reply.closes()), (status, false), "{name}");
        }
    };
    check("good", &zipped, 200);
    check("not compressed", &good, 400);
    check("empty", b"", 400);
    check("truncated", &zipped[..zipped.len() / 2], 400);
    check("one byte short", &zipped[..zipped.len() - 1], 400);
    check("trailing byte", &[&zipped[..], b"x"].concat(), 400);
    check("two members", &[&zipped[..], &zipped[..]].concat(), 400);
    check("compressed twice", &deflate(&zipped), 400);
    check("up to the cap", &deflate(&vec![b' '; 1 << 20]), 400);
    check("over the cap", &deflate(&vec![b' '; (1 << 20) + 1]), 413);
    check("good again", &zipped, 200);
    assert_alive(&server);
}

#[test]
fn a_body_over_the_limit_is_refused_by_its_length_or_as_it_comes() {
    let server = Setup::demo().set("limits.body_bytes=4096").start();
    let body = vec![b' '; 4_097];
    let reply = server.exchange().bid("demo", &body).unwrap();
    assert_eq!(reply.status, 413, "by its length");
    let reply = send_chunked(&mut server.exchange(), "demo", &[&body[..4_000], &body[..97]]);
    assert_eq!(reply.status, 413, "as it comes");
    // The rest is never sent: the length alone is enough.
    let mut client = server.exchange();
    client.raw(b"POST /openrtb2/demo HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n").unwrap();
    let reply = client.reply_to("POST").unwrap();
    assert_eq!((reply.status, reply.closes()), (413, true));
    assert!(client.is_closed());
    assert_eq!(server.metric(r#"outbid_bid_requests_total{exchange="demo",outcome="too_large"}"#), 3);
    assert_alive(&server);
}

/// Sends a body in chunks (RFC 9112 section 7.1).
fn send_chunked(client: &mut Client, exchange: &str, chunks: &[&[u8]]) -> Reply {
    let head = format!("POST /openrtb2/{exchange} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    client.raw(head.as_bytes()).unwrap();
    for chunk in chunks {
        client.raw(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()).unwrap();
    }
    client.raw(b"0\r\n\r\n").unwrap();
    client.reply_to("POST").unwrap()
}

#[test]
fn a_chunked_body_is_a_body() {
    let server = Setup::demo().start();
    let good = good();
    let mut client = server.exchange();
    for size in [1, 7, 100, good.len()] {
        let chunks: Vec<&[u8]> = good.chunks(size).collect();
        let reply = send_chunked(&mut client, "demo", &chunks);
        assert_eq!((reply.status, reply.closes()), (200, false), "in chunks of {size}");
    }
    assert_eq!(client.bid("demo", &good).unwrap().status, 200);
    assert_alive(&server);
}

#[test]
fn a_head_over_its_limits_is_answered_431_and_the_connection_ends() {
    let server = Setup::demo().start();
    let check = |headers: &[(&str, &str)]| {
        let mut client = server.exchange();
        let reply = client.send("POST", "/openrtb2/demo", headers, &good()).unwrap();
        assert_eq!((reply.status, reply.closes()), (431, true));
        assert!(client.is_closed());
    };
    let names: Vec<String> = (0..64).map(|i| format!("x-{i}")).collect();
    check(&names.iter().map(|name| (name.as_str(), "y")).collect::<Vec<_>>());
    check(&[("x-long", &"y".repeat(40_000))]);
    let few: Vec<_> = names.iter().take(60).map(|name| (name.as_str(), "y")).collect();
    assert_eq!(server.exchange().send("POST", "/openrtb2/demo", &few, &good()).unwrap().status, 200);
    assert_alive(&server);
}

#[test]
fn what_is_no_http_is_answered_400_once_or_not_at_all() {
    let server = Setup::demo().start();
    let body = String::from_utf8(good()).unwrap();
    let length = body.len();
    let post = |fields: &str| format!("POST /openrtb2/demo HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\n{body}");
    let bad = [
        "garbage\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "POST /openrtb2/demo HTTP/9.9\r\n\r\n".to_owned(),
        post(&format!("content-length: {length}\r\ncontent-length: {}", length + 1)),
        post("content-length: +5"),
        post("content-length: -1"),
        post("content-length: 0x5"),
        post("content-length: 5, 6"),
        post("content-length: 18446744073709551616"),
        post("transfer-encoding: xchunked"),
        post("transfer-encoding : chunked"),
        post("x\0y: z"),
        post("host: y"),
        post(&format!("content-length: {length}")).replacen("host: x\r\n", "", 1),
        post(&format!("content-length: {length}")).replacen("host: x", "host: x y", 1),
        post("no colon"),
    ];
    for request in bad {
        let mut client = server.exchange();
        client.raw(request.as_bytes()).unwrap();
        client.finish_sending();
        if let Ok(reply) = client.reply_to("POST") {
            assert_eq!(reply.status, 400, "{request}");
            assert!(client.is_closed(), "{request}");
        }
    }
    assert_alive(&server);
}

#[test]
fn bodies_beyond_the_room_for_them_are_shed_and_the_room_comes_back() {
    let server = Setup::demo().set("server.body_memory_bytes=1048576").set("limits.body_bytes=900000");
    let server = server.set("server.body_timeout_ms=60000").start();
    let body = vec![b' '; 800_000];
    let head = format!("POST /openrtb2/demo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    let room = "outbid_shed_total{reason=\"body_memory\"}";
    let mut holder = server.exchange();
    holder.raw(&[head.as_bytes(), &body[1..]].concat()).unwrap();
    // Once the first body has its room, a second one has none, and a short one needs none.
    super::until("a body finds no room", || {
        let reply = server.exchange().bid("demo", &body).unwrap();
        match reply.status {
            204 => assert!(reply.closes()),
            status => assert_eq!(status, 400, "white space is no JSON"),
        }
        server.metric(room) > 0
    });
    assert_eq!(server.exchange().bid("demo", &good()).unwrap().status, 200);
    holder.raw(b" ").unwrap();
    assert_eq!(holder.reply_to("POST").unwrap().status, 400);
    super::until("the room is back", || server.exchange().bid("demo", &body).unwrap().status == 400);
    assert_alive(&server);
}

#[test]
fn a_stalled_head_or_body_is_given_up() {
    let server = Setup::demo().set("server.header_timeout_ms=150").set("server.body_timeout_ms=150").start();
    #[expect(clippy::disallowed_methods, reason = "measures the server from outside")]
    let started = Instant::now();
    let mut head = server.exchange();
    head.raw(b"POST /openrtb2/demo HTTP/1.1\r\nhost: ").unwrap();
    let mut body = server.exchange();
    body.raw(b"POST /openrtb2/demo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{").unwrap();
    let reply = body.reply_to("POST").unwrap();
    assert_eq!((reply.status, reply.closes()), (400, true));
    assert!(body.is_closed());
    // hyper may or may not say 408 before it closes.
    if let Ok(reply) = head.reply_to("POST") {
        assert_eq!(reply.status, 408);
    }
    assert!(head.is_closed());
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(140) && took < Duration::from_secs(10), "{took:?}");
    assert_alive(&server);
}

#[test]
fn an_exchange_must_prove_who_it_is() {
    let auths = [
        ExchangeAuth::Header { name: "x-key".to_owned(), secret: "open sesame".to_owned() },
        ExchangeAuth::PathSecret("s3cret".to_owned()),
        ExchangeAuth::Addresses(vec![IpNet::parse("192.0.2.0/24").unwrap()]),
        ExchangeAuth::Addresses(vec![IpNet::parse("127.0.0.0/8").unwrap()]),
    ];
    let server = Setup::demo()
        .account(|account| {
            for (at, auth) in auths.into_iter().enumerate() {
                let mut profile = account.exchanges[0].clone();
                profile.id.0 = 10 + at as u16;
                (profile.name, profile.auth) = (format!("x{at}"), auth);
                account.exchanges.push(profile);
            }
        })
        .start();
    let check = |path: &str, headers: &[(&str, &str)], status: u16| {
        let reply = server.exchange().send("POST", path, headers, &good()).unwrap();
        // A stranger's body is not read, and that ends the connection.
        assert_eq!((reply.status, reply.closes()), (status, status == 401), "{path} {headers:?}");
        assert!(reply.status == 200 || reply.body.is_empty());
    };
    check("/openrtb2/x0", &[("x-key", "open sesame")], 200);
    check("/openrtb2/x0", &[("X-Key", "open sesame")], 200);
    for wrong in ["", "open sesam", "open sesame!", "Open sesame"] {
        check("/openrtb2/x0", &[("x-key", wrong)], 401);
    }
    check("/openrtb2/x0", &[], 401);
    check("/openrtb2/x0/open sesame".replace(' ', "%20").as_str(), &[], 401);
    check("/openrtb2/x1/s3cret", &[], 200);
    for wrong in
        ["/openrtb2/x1", "/openrtb2/x1/", "/openrtb2/x1/S3cret", "/openrtb2/x1/s3cre", "/openrtb2/x1/s3cret2"]
    {
        check(wrong, &[], 401);
    }
    check("/openrtb2/x2", &[("x-forwarded-for", "192.0.2.1")], 401);
    check("/openrtb2/x3", &[], 200);
    assert_alive(&server);
}

#[test]
fn an_exchange_without_authentication_is_not_served_beyond_loopback() {
    let refused = Setup::demo().set("listen.bid=0.0.0.0:0").try_start();
    match refused.map(|_| ()) {
        Err(ServeError::Unauthenticated { exchange, .. }) => assert_eq!(exchange, "demo"),
        other => panic!("{other:?}"),
    }
    let keyed = Setup::demo().set("listen.bid=0.0.0.0:0").account(|account| {
        for profile in &mut account.exchanges {
            profile.auth = ExchangeAuth::Header { name: "x-key".to_owned(), secret: "k".repeat(16) };
        }
    });
    drop(keyed.start());
}
