//! `GET /v1/pixels/{id}/tag`: what an advertiser puts on its pages and servers, ready to be copied.

use super::call::{Call, Reply};
use super::crud;
use super::problem::Problem;
use super::shape::Shape;
use super::state::Inner;
use super::tenants;
use crate::store::control::Kind;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// Sends events with what the page's consent tools say, asked before each. Members go into the address: a body of JSON
/// would cost a second request first (CORS).
const SCRIPT: &str = r#"(function (w) {
  "use strict";
  var url = "{URL}", patience_ms = 500;
  function signals(done) {
    var said = {}, open = 1, over = false;
    function end() { if (!over) { over = true; done(said); } }
    function one() { open -= 1; if (open === 0) { end(); } }
    function ask(call) { open += 1; try { call(); } catch (e) { one(); } }
    if (w.__tcfapi) {
      ask(function () {
        w.__tcfapi("addEventListener", 2, function (data, ok) {
          if (ok && data.eventStatus === "cmpuishown") { return; }
          if (ok) {
            if (data.gdprApplies !== undefined) { said.gdpr = data.gdprApplies ? 1 : 0; }
            said.gdpr_consent = data.tcString;
            w.__tcfapi("removeEventListener", 2, function () {}, data.listenerId);
          }
          one();
        });
      });
    }
    if (w.__gpp) {
      ask(function () {
        w.__gpp("ping", function (data, ok) {
          if (ok && data) {
            said.gpp = data.gppString;
            said.gpp_sid = (data.applicableSections || []).join(",");
          }
          one();
        });
      });
    }
    if (w.__uspapi) {
      ask(function () {
        w.__uspapi("getUSPData", 1, function (data, ok) {
          if (ok && data) { said.us_privacy = data.uspString; }
          one();
        });
      });
    }
    w.setTimeout(end, patience_ms);
    one();
  }
  w.outbid = function (action, more) {
    signals(function (said) {
      var parts = ["t=" + encodeURIComponent(action)];
      [more || {}, said].forEach(function (members) {
        Object.keys(members).forEach(function (name) {
          var value = members[name];
          if (value !== undefined && value !== null && value !== "") {
            parts.push(encodeURIComponent(name) + "=" + encodeURIComponent(value));
          }
        });
      });
      var address = url + "?" + parts.join("&");
      if (!(w.navigator.sendBeacon && w.navigator.sendBeacon(address))) {
        w.fetch(address, { method: "POST", keepalive: true, credentials: "include", mode: "no-cors" });
      }
    });
  };
  w.outbid("view");
})(window);
"#;

/// Signs an event as a server does. The key is the pixel's secret as 64 hexadecimal digits.
const CURL: &str = r#"body='{"t":"purchase","v":"49.90","cur":"EUR","o":"order-4711"}'
t=$(date +%s)
v1=$(printf '%s.%s' "$t" "$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$OUTBID_PIXEL_SECRET" | sed 's/^.* //')
curl -sS '{URL}' -H 'content-type: application/json' -H "Outbid-Signature: t=$t,v1=$v1" -d "$body"
"#;

pub(super) fn tag(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let (id, account) = (call.id.unwrap_or(0), call.account);
    call.parameters.finish("")?;
    let shape = Shape::of(Kind::Pixel).expect("pixels are resources");
    inner
        .control
        .read(|read| tenants::seen_by(&call.actor, read, crud::row_of(read, shape, id, account)?))?;
    let editor = inner.editor.lock();
    let pixel = editor.pixel(id).ok_or_else(|| Problem::not_found(&format!("pixel {id}")))?;
    let url = format!("{}/e/{id}", inner.public_url.trim_end_matches('/'));
    let for_pages = |text: String| if pixel.origins.is_empty() { Value::Null } else { text.into() };
    let img = format!("<img src=\"{url}?t=view\" width=\"1\" height=\"1\" alt=\"\" style=\"display:none\">");
    let server = pixel.secret.as_ref().map(|_| CURL.replace("{URL}", &url));
    let view = json!({
        "id": id.to_string(), "url": url, "img": for_pages(img), "js": for_pages(SCRIPT.replace("{URL}", &url)),
        "server": server,
    });
    Ok(Reply::new(StatusCode::OK, view))
}

/// What is answered.
pub(super) fn schema() -> Value {
    let maybe = |said: &str| json!({ "type": ["string", "null"], "description": said });
    json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "description": "The pixel." },
            "url": { "type": "string", "description": "Where it takes events." },
            "img": maybe("An image for pages without scripts, which reports a look; null where it has no origins."),
            "js": maybe(
                "The body of a script element, which reports a look and makes `outbid(action, members)`; it passes on \
                 what the page's consent tools say. Null where it has no origins.",
            ),
            "server": maybe("Commands that sign and send an event; null where it has no secret."),
        },
        "required": ["id", "url", "img", "js", "server"],
        "additionalProperties": false,
    })
}
