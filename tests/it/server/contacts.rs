//! Audiences for use elsewhere, over HTTP: from contacts and their consent to the list that somebody takes away.

use super::customers::{CSV, Desk, HEALTH, copy_folder};
use super::people::{LISTED, cookie, sha256};
use super::{ADMIN_KEY, Client};
use outbid::model::ids::SegmentId;
use serde_json::{Value, json};
use std::path::Path;

/// Below the listed ones.
const NORTH: SegmentId = SegmentId(931);
const AGREED: &str = "2027-01-10T00:00:00Z";

impl Desk {
    /// Says how people can be reached; the job as it ended.
    fn contacts(&self, query: &str, list: &str) -> Value {
        let reply = self.call("POST", &format!("/v1/contacts:upload{query}"), CSV, list);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// The same for rows: whose address, the channel, the address, what they say and until when.
    fn agree(&self, rows: &[(&str, &str, &str, &str, &str)]) -> [u64; 6] {
        let rows = rows.iter().map(|(who, channel, address, consent, until)| {
            format!("{},{channel},{address},{consent},{AGREED},{until}\n", sha256(who))
        });
        let names = "email_sha256,channel,address,consent,consent_at,expires_at\n";
        let job = self.contacts("", &(names.to_owned() + &rows.collect::<String>()));
        assert_eq!(job["state"], "succeeded", "{job}");
        ["rows", "added", "changed", "removed", "unchanged", "refused"]
            .map(|name| job[name].as_u64().unwrap())
    }

    /// Chooses; the job as it ended.
    fn choose(&self, segment: SegmentId, body: &Value) -> Value {
        let path = format!("/v1/segments/{segment}/contacts:export");
        let reply = self.call("POST", &path, "application/json", &body.to_string());
        assert_eq!(reply.status, 200, "{}", reply.text());
        let job = reply.json();
        assert_eq!(job["state"], "succeeded", "{job}");
        job
    }

    fn take(&self, job: &Value) -> (u16, String, String) {
        let path = format!("/v1/jobs/{}/contacts:download", job["id"].as_str().unwrap());
        Client::connect(self.shop.server.at.admin).take(&path, ADMIN_KEY)
    }

    /// The addresses of the mail list of a segment, in order, and the job.
    fn mail(&self, segment: SegmentId) -> (Vec<String>, Value) {
        let job = self.choose(segment, &json!({ "channel": "mail", "purpose": "Spring newsletter" }));
        (self.addresses(&job), job)
    }

    fn addresses(&self, job: &Value) -> Vec<String> {
        let (status, media, list) = self.take(job);
        assert_eq!((status, media.as_str()), (200, "text/csv; charset=utf-8"), "{list}");
        let mut rows = list.lines().map(|row| row.split(',').next().unwrap().to_owned());
        assert_eq!(rows.next().as_deref(), Some("address"));
        let mut addresses: Vec<String> = rows.collect();
        addresses.sort_unstable();
        addresses
    }
}

/// Six people of whom five agree to mail: members by their addresses, by a browser that is tied to one, by a node below.
fn filled(desk: &Desk) -> (String, String) {
    let members = |names: &[&str]| -> String {
        "email_sha256\n".to_owned() + &names.iter().map(|name| sha256(name) + "\n").collect::<String>()
    };
    desk.upload(LISTED, "consent=given", CSV, &members(&["ann", "bob", "cid", "dan"]));
    desk.upload(NORTH, "consent=given", CSV, &members(&["fay"]));
    let (pair, uid) = cookie(&desk.shop.page("t=view&gdpr=0", ""));
    desk.shop.page(&format!("t=custom&n=login&eh={}&gdpr=0", sha256("gus")), &pair);
    desk.upload(LISTED, "consent=given", CSV, &format!("cookie\n{uid}\n"));
    let said = [
        ("ann", "mail", "ann@example.com", "given", ""),
        ("ann", "call", "+491701234567", "given", ""),
        ("bob", "mail", "", "withdrawn", ""),
        ("cid", "mail", "cid@example.com", "given", "2027-01-16T00:00:00Z"),
        ("fay", "mail", "fay@example.com", "given", ""),
        ("gus", "mail", "gus@example.com", "given", ""),
        ("not a member", "mail", "stranger@example.com", "given", ""),
    ];
    assert_eq!(desk.agree(&said), [7, 6, 0, 1, 0, 0]);
    assert_eq!(desk.agree(&said), [7, 0, 0, 0, 7, 0], "the same again changes nothing");
    (pair, uid)
}

#[test]
fn a_list_has_exactly_those_who_agree_and_is_handed_over_once() {
    let desk = Desk::bidding_for(LISTED, None);
    filled(&desk);
    let (mail, job) = desk.mail(LISTED);
    assert_eq!(mail, ["ann@example.com", "cid@example.com", "fay@example.com", "gus@example.com"]);
    let list = |job: &Value| {
        ["members", "contacts", "no_contact", "withdrawn", "consent_ended", "ambiguous"]
            .map(|name| job["list"][name].as_u64().unwrap_or_else(|| panic!("{name}: {job}")))
    };
    assert_eq!(list(&job), [6, 4, 1, 1, 0, 0], "{job}");
    let (status, _, said) = desk.take(&job);
    assert_eq!(status, 410, "{said}");
    assert!(!said.contains("example.com"), "{said}");
    assert!(!job.to_string().contains("example.com"), "{job}");
    let id = job["id"].as_str().unwrap();
    assert_eq!(desk.call("GET", &format!("/v1/jobs/{id}/result"), CSV, "").status, 404);
    // A node has those below it, and these not those above.
    assert_eq!(desk.mail(NORTH).0, ["fay@example.com"]);
    let calls = desk.choose(LISTED, &json!({ "channel": "call", "purpose": "Survey", "format": "ndjson" }));
    let (status, media, list_of_calls) = desk.take(&calls);
    let expected = json!({ "address": "+491701234567", "consent_at": AGREED, "consent_until": null });
    assert_eq!((status, media.as_str()), (200, "application/x-ndjson"));
    assert_eq!(serde_json::from_str::<Value>(&list_of_calls).unwrap(), expected);
    // What was withdrawn stays so, whatever an older list says; and consent ends.
    assert_eq!(desk.agree(&[("bob", "mail", "bob@example.com", "given", "")]), [1, 0, 0, 0, 1, 0]);
    let names = "email_sha256,channel,consent\n";
    let job = desk.contacts("", &format!("{names}{},mail,withdrawn\n", sha256("ann")));
    assert_eq!(job["removed"], 1, "{job}");
    desk.shop.later(86_400);
    let (mail, job) = desk.mail(LISTED);
    assert_eq!(
        (mail, list(&job)),
        (["fay@example.com", "gus@example.com"].map(str::to_owned).to_vec(), [6, 2, 1, 2, 1, 0])
    );
    // Who withdraws, or is erased, between the choice and the handing over is not handed over.
    let early = desk.choose(LISTED, &json!({ "channel": "mail", "purpose": "Spring newsletter" }));
    desk.contacts("", &format!("{names}{},mail,withdrawn\n", sha256("gus")));
    let erased = desk.ask("erase", &json!([{ "type": "email_sha256", "value": sha256("fay") }]));
    assert_eq!(erased["contacts"], 1, "{erased}");
    assert_eq!(desk.addresses(&early), [""; 0]);
    // A day later nobody takes a list any more.
    let late = desk.choose(LISTED, &json!({ "channel": "mail", "purpose": "Spring newsletter" }));
    desk.shop.later(86_400);
    assert_eq!(desk.take(&late).0, 410);
    // Who took what, how many and why is on record, and nobody's address is.
    let records = desk.call("GET", "/v1/audit?page_size=1000", CSV, "").text().to_owned();
    for said in ["export_contacts", "download_contacts", "upload_contacts", "Spring newsletter", "Survey"] {
        assert!(records.contains(said), "{said}: {records}");
    }
    assert!(!records.contains("example.com") && !records.contains("491701234567"), "{records}");
}

#[test]
fn what_is_wrong_is_refused_and_no_address_is_repeated() {
    let desk = Desk::bidding_for(LISTED, None);
    let refused = |segment: SegmentId, body: Value, status: u16, pointer: &str| {
        let path = format!("/v1/segments/{segment}/contacts:export");
        let reply = desk.call("POST", &path, "application/json", &body.to_string());
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        let shown = reply.json();
        assert_eq!(shown["errors"][0]["pointer"].as_str().unwrap_or_default(), pointer, "{shown}");
    };
    let asked = json!({ "channel": "mail", "purpose": "p" });
    refused(HEALTH, asked.clone(), 422, "");
    refused(SegmentId(906), asked.clone(), 422, "");
    refused(SegmentId(4_711), asked, 404, "");
    refused(LISTED, json!({ "purpose": "p" }), 422, "/channel");
    refused(LISTED, json!({ "channel": "pigeon", "purpose": "p" }), 422, "/channel");
    refused(LISTED, json!({ "channel": "mail" }), 422, "/purpose");
    refused(LISTED, json!({ "channel": "mail", "purpose": "for someone@example.com" }), 422, "/purpose");
    refused(LISTED, json!({ "channel": "mail", "purpose": "p", "format": "xlsx" }), 422, "/format");
    refused(LISTED, json!({ "channel": "mail", "purpose": "p", "colour": "red" }), 422, "/colour");
    let hash = sha256("x");
    let list = format!(
        "email_sha256,channel,address,consent,consent_at\nsomeone@example.com,mail,someone@example.com,given,{AGREED}\n\
         {hash},mail,someone,given,{AGREED}\n{hash},mail,someone@example.com,given,\n{hash},mail,someone@example.com,,\n"
    );
    let job = desk.contacts("", &list);
    let codes: Vec<&str> =
        job["errors"].as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["raw_data", "malformed", "missing", "malformed"], "{job}");
    assert!(!job.to_string().contains("someone"), "{job}");
    let broken = desk.contacts("", "someone@example.com\nx\n");
    assert!(broken["state"] == "failed" && !broken.to_string().contains("someone"), "{broken}");
    // A trial keeps nothing.
    let row = format!(
        "email_sha256,channel,address,consent,consent_at\n{hash},mail,x@example.com,given,{AGREED}\n"
    );
    let tried = desk.contacts("?validate_only=true", &row);
    assert_eq!((&tried["added"], &tried["rows"]), (&json!(1), &json!(1)), "{tried}");
    assert_eq!(desk.contacts("?ttl_days=400", &row)["added"], 1);
    let shown = desk.ask("export", &json!([{ "type": "email_sha256", "value": hash }]));
    let expected = json!([{
        "account_id": "1", "channel": "mail", "consent": "given", "consent_at": AGREED,
        "expires_at": "2028-02-14T00:00:00Z",
    }]);
    assert_eq!(shown["contacts"], expected);
    // Another job has no such list, and an unknown one does not exist.
    let other = json!({ "id": tried["id"] });
    assert_eq!((desk.take(&other).0, desk.take(&json!({ "id": "4711" })).0), (404, 404));
}

#[test]
fn who_opts_out_or_is_erased_stays_away_after_a_restart_and_from_an_older_copy() {
    let home = tempfile::tempdir().unwrap();
    let open = || Desk::bidding_for(LISTED, Some(home.path()));
    let desk = open();
    let (pair, _) = filled(&desk);
    drop(desk);
    let desk = open();
    let everybody = ["ann@example.com", "cid@example.com", "fay@example.com", "gus@example.com"];
    assert_eq!(desk.mail(LISTED).0, everybody, "a restart keeps them");
    drop(desk);
    let copy = tempfile::tempdir().unwrap();
    copy_contacts(home.path(), copy.path());
    let desk = open();
    // Only of the identifier that was brought along: the browser may be another person's too.
    let shown = desk.ask("export", &json!([{ "type": "email_sha256", "value": sha256("gus") }]));
    assert_eq!(shown["contacts"][0]["channel"], "mail", "{shown}");
    desk.shop.later(10);
    let out = Client::connect(desk.shop.server.at.track).send("GET", "/optout", &[("cookie", &pair)], b"");
    assert_eq!(out.unwrap().status, 200);
    let shown = desk.ask("export", &json!([{ "type": "email_sha256", "value": sha256("gus") }]));
    assert_eq!(shown["contacts"], json!([]));
    desk.ask("erase", &json!([{ "type": "email_sha256", "value": sha256("ann") }]));
    let left = ["cid@example.com", "fay@example.com"];
    assert_eq!(desk.mail(LISTED).0, left);
    // What was agreed to before is no new consent, also where the person is put into the segment again.
    let again = [("ann", "mail", "ann@example.com", "given", "")];
    assert_eq!(desk.agree(&again), [1, 0, 0, 0, 0, 1]);
    drop(desk);
    copy_contacts(copy.path(), home.path());
    let desk = open();
    desk.upload(LISTED, "consent=given", CSV, &format!("email_sha256\n{}\n", sha256("ann")));
    assert_eq!(desk.mail(LISTED).0, left, "nor from an older copy");
    desk.shop.later(100);
    let at = jiff::Timestamp::from_second(desk.shop.at()).unwrap();
    let names = "email_sha256,channel,address,consent,consent_at\n";
    let job = desk.contacts("", &format!("{names}{},mail,ann@example.com,given,{at}\n", sha256("ann")));
    assert_eq!(job["added"], 1, "who comes back with a new consent is back: {job}");
    assert_eq!(desk.mail(LISTED).0.len(), 3);
}

fn copy_contacts(from: &Path, to: &Path) {
    copy_folder(&from.join("keys"), &to.join("keys"));
    std::fs::copy(from.join("contacts.db"), to.join("contacts.db")).unwrap();
}
