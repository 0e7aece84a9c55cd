//! What the description of the API says of people in segments.

use super::rights::{MAX_IDS, TYPES};
use super::{Task, activate, contacts, expand, upload};
use crate::admin::openapi::answers::{maybe, moment, object, text};
use crate::contacts::Channel;
use serde_json::{Map, Value, json};

/// A body's content type and schema.
type Body = Option<(&'static str, Value)>;

/// The status of the answer to a task, the answer's schema, that of the body, and what may stand in the query.
pub(in crate::admin) fn documented(task: Task) -> (&'static str, Value, Body, &'static [&'static str]) {
    let of = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    const JSON: &str = "application/json";
    match task {
        Task::Upload => {
            let said = "A row a person, or a JSON object a line (application/x-ndjson); see the guide.";
            let list = json!({ "type": "string", "description": said });
            ("202", of("job"), Some(("text/csv", list)), upload::PARAMETERS)
        }
        Task::Expand => ("202", of("job"), Some((JSON, of("expansion_asked"))), expand::PARAMETERS),
        Task::LoadContacts => {
            let said =
                "A row a person and channel, or a JSON object a line (application/x-ndjson); see the guide.";
            let list = json!({ "type": "string", "description": said });
            ("202", of("job"), Some(("text/csv", list)), contacts::PARAMETERS)
        }
        Task::Activate => ("202", of("job"), Some((JSON, of("contacts_asked"))), &[]),
        Task::TakeContacts => ("200", json!({ "type": "string" }), None, &["account_id"]),
        Task::Stats => ("200", of("segment_stats"), None, &[]),
        Task::Overlap => ("200", of("segment_overlap"), Some((JSON, of("segments_chosen"))), &[]),
        Task::Erase => ("200", of("erasure"), Some((JSON, of("person_ids"))), &[]),
        Task::Export => ("200", of("person"), Some((JSON, of("person_ids"))), &[]),
    }
}

fn count(said: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": said })
}

fn several(item: Value, said: &str) -> Value {
    json!({ "type": "array", "items": item, "description": said })
}

/// The schemas that others refer to.
pub(in crate::admin) fn schemas() -> [(&'static str, Value); 10] {
    [
        ("contacts_asked", contacts_asked()),
        ("contact_list", contact_list()),
        ("expansion_asked", expansion_asked()),
        ("expansion", expansion()),
        ("segment_stats", stats()),
        ("segments_chosen", chosen()),
        ("segment_overlap", overlap()),
        ("person_ids", ids()),
        ("erasure", erasure()),
        ("person", person()),
    ]
}

fn expansion_asked() -> Value {
    let key = json!({
        "type": "string", "examples": ["similar.buyers"],
        "description": "The key of the segment that is filled, in the account of the one that is looked into; it is made \
                        where there is none.",
    });
    let name = json!({
        "type": "string", "minLength": 1, "maxLength": 255, "examples": ["Like buyers"],
        "description": "What it is called where it is made; without it as its key.",
    });
    let number = |least: u64, most: u64, said: &str| json!({ "type": "integer", "minimum": least, "maximum": most, "description": said });
    let mut ttl = number(1, expand::MAX_TTL_DAYS, "After how many days those who were found leave.");
    ttl["default"] = expand::TTL_DAYS.into();
    let members = json!({
        "target": key, "target_name": name, "ttl_days": ttl,
        "size": number(1, expand::MAX_SIZE, "How many people to find; fewer where fewer have anything in common."),
        "replace": {
            "type": "boolean", "default": false,
            "description": "Take out whom earlier searches have put there and this one does not find.",
        },
    });
    object(members, &["target", "size"])
}

fn channels(said: &str) -> Value {
    json!({ "type": "string", "enum": Channel::ALL.map(Channel::as_str), "description": said })
}

fn contacts_asked() -> Value {
    let members = json!({
        "channel": channels("In which way they are reached."),
        "format": {
            "type": "string", "enum": activate::FORMATS, "default": activate::FORMATS[0],
            "description": "A table, or a JSON object a line.",
        },
        "purpose": {
            "type": "string", "minLength": 1, "maxLength": activate::MAX_PURPOSE, "examples": ["Spring newsletter"],
            "description": "What for; it goes into the record.",
        },
    });
    object(members, &["channel", "purpose"])
}

fn contact_list() -> Value {
    let members = json!({
        "members": count("Browsers, devices and addresses that are in the segment or below it."),
        "contacts": count("Contacts on the list."),
        "no_contact": count("Members of whom no contact in this channel is known."),
        "withdrawn": count("Contacts whose consent was withdrawn."),
        "consent_ended": count("Contacts whose consent has ended."),
        "ambiguous": count("Members whose ties lead to the contacts of several people."),
        "until": moment("Until when it can be taken."),
    });
    let required = ["members", "contacts", "no_contact", "withdrawn", "consent_ended", "ambiguous", "until"];
    object(members, &required)
}

fn expansion() -> Value {
    let number = |said: &str| json!({ "type": "number", "minimum": 0, "description": said });
    let telling = object(
        json!({
            "segment_id": text("The segment."), "key": text("What it is called."),
            "seed_share": number("The share of the seed that is in it, 0 to 1."),
            "other_share": number("The share of everybody else that is."),
        }),
        &["segment_id", "key", "seed_share", "other_share"],
    );
    let members = json!({
        "seed": count("Who is in the segment that was looked into."),
        "held_back": count("Of these, who was not learned from, to measure with."),
        "found": count("Of those held back, who was found."),
        "population": count("Who could have been found, those held back included."),
        "chosen": count("Who was found."),
        "lift": number("The share of those held back that was found, against that of a random audience of this size."),
        "lift_low": number("The lift lies above this with 97.5 %."),
        "lift_high": number("The lift lies below this with 97.5 %."),
        "took_ms": count("How long the search took, in milliseconds."),
        "telling": several(telling, "What tells the people of the segment from others most, at most ten, in order."),
    });
    let required = [
        "seed",
        "held_back",
        "found",
        "population",
        "chosen",
        "lift",
        "lift_low",
        "lift_high",
        "took_ms",
        "telling",
    ];
    object(members, &required)
}

fn stats() -> Value {
    let counted = |said: &str| json!({ "type": ["integer", "null"], "minimum": 0, "description": said });
    let members = json!({
        "segment_id": text("The segment."),
        "counted_at": {
            "type": ["string", "null"], "format": "date-time",
            "description": "When it was counted; null while the first count takes longer than a call waits: come again.",
        },
        "members": counted("Who is in it; of a node, in the node itself and not in those below."),
        "members_with_below": counted("Who is in it or in any segment below it, each counted once."),
        "in_base": counted("Of the members, who has not changed since all was packed."),
        "in_overlay": counted("Of these, who has."),
        "listed": counted("Of these, whom lists have put in."),
        "explicit_consent": counted("Of these, who has agreed explicitly."),
    });
    let required = [
        "segment_id",
        "counted_at",
        "members",
        "members_with_below",
        "in_base",
        "in_overlay",
        "listed",
        "explicit_consent",
    ];
    object(members, &required)
}

fn chosen() -> Value {
    let id = json!({ "type": "string" });
    let members = json!({
        "segment_ids": {
            "type": "array", "items": id, "minItems": 2, "maxItems": 10, "examples": [["1", "2"]],
            "description": "The segments, each once.",
        },
    });
    object(members, &["segment_ids"])
}

fn overlap() -> Value {
    let size = object(
        json!({ "segment_id": text("The segment."), "members": count("Who is in it.") }),
        &["segment_id", "members"],
    );
    let both = several(text("A segment."), "The two segments.");
    let pair = object(
        json!({ "segment_ids": both, "members": count("Who is in both.") }),
        &["segment_ids", "members"],
    );
    let members = json!({
        "counted_at": moment("When it was counted."), "sizes": several(size, "Each segment."),
        "overlaps": several(pair, "Each two of them."), "in_any": count("Who is in any of them."),
        "in_all": count("Who is in all of them."),
    });
    object(members, &["counted_at", "sizes", "overlaps", "in_any", "in_all"])
}

fn ids() -> Value {
    let id = object(
        json!({
            "type": { "type": "string", "enum": TYPES, "description": "What sort of identifier it is." },
            "value": text("The identifier; of addresses and numbers the SHA-256 in hex."),
            "source": text("Of an eid, the domain of who made it."),
            "exchange": text("Of an exchange's id, the name of the exchange."),
        }),
        &["type", "value"],
    );
    let examples = json!([
        [{ "type": "cookie", "value": "q2bXw0" }],
        [{ "type": "email_sha256", "value": "0f".repeat(32) }, { "type": "ifa", "value": "6d92078a" }],
        [{ "type": "eid", "value": "abc", "source": "id5-sync.com" }],
    ]);
    let members = json!({
        "ids": {
            "type": "array", "items": id, "minItems": 1, "maxItems": MAX_IDS, "examples": examples,
            "description": "Identifiers of one person; those that they are tied to are found.",
        },
    });
    object(members, &["ids"])
}

fn erasure() -> Value {
    let members = json!({
        "id": text("Its number, as the record has it."), "erased_at": moment("When it was."),
        "keys": count("Identifiers that were the person's."), "memberships": count("Memberships that were there."),
        "links": count("Ties between identifiers that were there."),
        "traces": count("Identifiers of whose behaviour something was kept."),
        "contacts": count("Contacts for use elsewhere that were there."),
    });
    object(members, &["id", "erased_at", "keys", "memberships", "links", "traces", "contacts"])
}

fn person() -> Value {
    let of_segment = |more: Value| {
        let mut members: Map<String, Value> = Map::new();
        members.insert("segment_id".to_owned(), text("The segment."));
        members.insert("key".to_owned(), maybe("What it is called; null where it is gone."));
        members.insert("account_id".to_owned(), maybe("Whose segment it is."));
        if let Value::Object(more) = more {
            members.extend(more);
        }
        let required: Vec<String> = members.keys().cloned().collect();
        json!({ "type": "object", "properties": members, "required": required, "additionalProperties": false })
    };
    let expires = json!({
        "type": ["string", "null"], "format": "date-time", "description": "When it ends; null is never.",
    });
    let origins = json!({
        "type": "string", "enum": ["first_party", "partner", "observed", "inferred"],
        "description": "By whom: an advertiser's list, a partner's, what was done, or a model.",
    });
    let consent = json!({ "type": "boolean", "description": "Whether explicit consent is on record." });
    let score = json!({ "type": ["number", "null"], "description": "How strong it is now; 1 is one look." });
    let customer = object(
        json!({
            "advertiser_id": text("Whose customer."), "purchases": count("How many purchases."),
            "spend": text("What they were worth, in the advertiser's currency."),
            "first_purchase_at": moment("The first one."), "last_purchase_at": moment("The last one."),
        }),
        &["advertiser_id", "purchases", "spend", "first_purchase_at", "last_purchase_at"],
    );
    let touch = object(
        json!({
            "line_item_id": text("The line item."), "creative_id": text("The creative."),
            "clicked": { "type": "boolean", "description": "Whether it was clicked, and not only seen." },
            "at": moment("When."),
        }),
        &["line_item_id", "creative_id", "clicked", "at"],
    );
    let counted = object(
        json!({
            "of": {
                "type": "string", "enum": ["advertiser", "campaign", "line_item", "creative"],
                "description": "Whose cap it is.",
            },
            "id": text("Its number."), "impressions": count("How many there were."),
            "last": several(moment("When."), "When the last of them were."),
        }),
        &["of", "id", "impressions", "last"],
    );
    let link = object(
        json!({
            "kind": {
                "type": "string", "enum": ["exchange_id", "hashed_address", "browser_or_device"],
                "description": "What sort of identifier.",
            },
            "count": count("How many."),
        }),
        &["kind", "count"],
    );
    let contact = object(
        json!({
            "account_id": text("Whose list it was in."), "channel": channels("In which way."),
            "consent": {
                "type": "string", "enum": ["given", "withdrawn"], "description": "What the person said.",
            },
            "consent_at": moment("When."), "expires_at": expires.clone(),
        }),
        &["account_id", "channel", "consent", "consent_at", "expires_at"],
    );
    let events = several(moment("When."), "When the last of them were.");
    let member = json!({ "expires_at": expires, "origin": origins, "explicit_consent": consent });
    let members = json!({
        "exported_at": moment("When it was asked for."),
        "segments": several(of_segment(member), "Segments that the person is in."),
        "interests": several(of_segment(json!({ "score": score })), "Interests, as they are now."),
        "counts": several(of_segment(json!({ "at": events })), "Events that rules count."),
        "customers": several(customer, "What was bought."), "touches": several(touch, "Ads that were clicked or seen."),
        "impressions": several(counted, "Impressions that were counted for frequency caps."),
        "links": several(link, "How many identifiers are known to be the person's, by their sort."),
        "contacts": several(contact, "Ways to reach the person, of these very identifiers; without the addresses."),
    });
    object(
        members,
        &[
            "exported_at",
            "segments",
            "interests",
            "counts",
            "customers",
            "touches",
            "impressions",
            "links",
            "contacts",
        ],
    )
}
