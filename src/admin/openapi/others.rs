//! The schemas that stand with their handlers, with what their members are.

use crate::admin::{apply, audience, jobs, people};
use serde_json::{Map, Value};

/// Members by their pointers below `properties`, and what they are.
type Words = &'static [(&'static str, &'static str)];

const JOB: Words = &[
    ("/id", "Its number."),
    ("/account_id", "The account that it works in."),
    ("/kind", "What sort of work it is."),
    ("/collection", "The collection that it is about."),
    ("/state", "How far it is; what has expired has no result any more."),
    ("/validate_only", "Whether it is a trial without an effect."),
    (
        "/mode",
        "Of imports: all rows are taken or none, or every good one. Of uploads: what is done with people.",
    ),
    ("/created_by", "Who asked for it."),
    ("/request_id", "The call that asked for it."),
    ("/created_at", "When it was asked for."),
    ("/finished_at", "When it ended; null until then."),
    ("/rows", "Rows that were read."),
    ("/created", "Rows that made something; of imports only."),
    (
        "/target_id",
        "Of an expansion: the segment that is filled; null where a trial names one that is not there.",
    ),
    ("/size", "How many people to find; this and the next two of expansions only."),
    ("/ttl_days", "After how many days they leave."),
    ("/replace", "Whether those leave whom earlier searches have put there."),
    ("/channel", "Of an activation: the way in which people are reached."),
    ("/format", "The form of its list."),
    ("/purpose", "What it is for."),
    ("/list", "Whom it chose; not there before."),
    ("/expansion", "What was found and how good that is; not there before."),
    ("/changed", "Rows that changed something."),
    ("/unchanged", "Rows that say what is there already."),
    ("/refused", "Rows that were not taken."),
    ("/added", "Rows whose people came into the segment; this and the next of uploads and expansions only."),
    ("/removed", "People who were taken out of the segment."),
    (
        "/matched",
        "Of uploads: rows whose identifier was known; of a hashed address, that a browser or a device is tied to it.",
    ),
    ("/match_rate", "Those among the rows that were taken, 0 to 1; null where none was."),
    ("/segment_id", "The segment."),
    ("/advertiser_id", "Whose customers these are; null where that was not said."),
    ("/consent", "What the people have agreed to."),
    ("/reason", "Why it did not succeed; null where it did."),
    ("/errors", "The first errors; its result has all of them."),
    ("/errors/items/properties/row", "The row, 1 below the header."),
    ("/errors/items/properties/line", "The line of the file, from 1."),
    ("/errors/items/properties/column", "The column; empty for the row as a whole."),
    ("/errors/items/properties/code", "The kind of error; stable, for machines."),
    ("/errors/items/properties/message", "What is wrong and what to do."),
];

const PLAN: Words = &[
    ("/plan", "Stands for all of it; send it back to apply exactly this."),
    ("/applied", "Whether it was done."),
    ("/summary", "How many steps there are of each sort."),
    ("/summary/properties/create", "What is made."),
    ("/summary/properties/update", "What is changed."),
    ("/summary/properties/archive", "What is archived."),
    ("/summary/properties/unchanged", "Entries that say what is there already."),
    ("/warnings", "What is allowed and probably not meant."),
    ("/steps", "What is done, in its order."),
    ("/steps/items/properties/action", "What is done."),
    ("/steps/items/properties/kind", "The sort of thing."),
    ("/steps/items/properties/id", "Its id."),
    ("/steps/items/properties/version", "The version that it had; null where it is new."),
    ("/steps/items/properties/name", "Its name."),
    ("/steps/items/properties/before", "The members that differ, as they were."),
    ("/steps/items/properties/after", "The members that differ, as they become."),
];

const ME: Words = &[
    ("/name", "Who calls."),
    ("/role", "What it may do."),
    ("/account_id", "Its account; null is the platform."),
    ("/api_key_id", "The key that was shown; null for people."),
    ("/scopes", "What the key is for; empty is everything that the role may."),
    ("/user_id", "The person; not there for keys."),
    ("/email", "The person's address."),
    ("/advertiser_ids", "The only advertisers that it sees, where there are any."),
    ("/totp_enabled", "Whether a login takes a second factor."),
    ("/csrf_token", "To be sent in `X-CSRF-Token` with every call of this session but GET."),
    ("/session", "The session."),
    ("/session/properties/created_at", "When the person logged in."),
    ("/session/properties/idle_until", "When it ends without another call."),
    ("/session/properties/expires_at", "When it ends in any case."),
];

const USER: Words = &[
    ("/id", "Its number."),
    ("/account_id", "The account; null is the platform."),
    ("/email", "The address to log in with."),
    ("/name", "For people."),
    ("/role", "What it may do."),
    ("/advertiser_ids", "The only advertisers that a viewer sees."),
    ("/status", "Whether it may log in."),
    ("/totp_enabled", "Whether a login takes a second factor."),
    ("/version", "One more with each change."),
    ("/etag", "The version as `If-Match` takes it."),
    ("/created_at", "When it was made."),
    ("/updated_at", "When it was changed last."),
    ("/last_login_at", "When it logged in last; null is never."),
    ("/invite_expires_at", "When the invitation ends; in the answer that invites only."),
];

/// Adds them to the schemas of the description.
pub(super) fn add(schemas: &mut Map<String, Value>) {
    schemas.extend(audience::schemas().map(|(name, schema)| (name.to_owned(), schema)));
    let mut put = |name: &str, mut schema: Value, words: Words| {
        for (pointer, said) in words {
            let member = schema.pointer_mut(&format!("/properties{pointer}"));
            let member = member.unwrap_or_else(|| panic!("{name} has no member {pointer}"));
            member["description"] = (*said).into();
        }
        schema["additionalProperties"] = false.into();
        schemas.insert(name.to_owned(), schema);
    };
    put("job", jobs::schema(), JOB);
    put("apply_plan", apply::schema(), PLAN);
    for (name, schema) in people::schemas() {
        put(name, schema, if name == "me" { ME } else { USER });
    }
}
