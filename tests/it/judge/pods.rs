//! Ads that share a pod of video or audio (OpenRTB 2.6 implementation guide section 7.6): there is time and a slot for
//! each, and none is like another in a way that the publisher does not want.

use super::media::MEDIA;
use super::read::{field, list, number, numbers, text};
use roxmltree::Document;
use serde_json::Value;

/// `poddedupe`: nothing is kept apart.
const NONE: i64 = 5;

/// A bid of video or audio with what it is for.
struct Placed<'v> {
    bid: &'v Value,
    impid: String,
    /// The object of its medium.
    offer: &'v Value,
}

/// Whether the object that a bid is for is a pod which several ads share.
pub(super) fn is_shared(request: &Value, bid: &Value) -> bool {
    placed(request, bid).is_some_and(|placed| field(placed.offer, "poddur").is_some())
}

pub(super) fn judge_pods(request: &Value, response: &Value, violations: &mut Vec<String>) {
    let seats = field(response, "seatbid").and_then(Value::as_array).into_iter().flatten();
    let bids = seats.filter_map(|seat| field(seat, "bid")?.as_array()).flatten();
    let bids: Vec<Placed<'_>> = bids.filter_map(|bid| placed(request, bid)).collect();
    for (at, one) in bids.iter().enumerate() {
        judge_slot(one, violations);
        let before = &bids[..at];
        if !before.iter().any(|other| std::ptr::eq(other.offer, one.offer)) {
            judge_room(one, &bids, violations);
        }
        for other in before.iter().filter(|other| share_a_pod(one, other)) {
            let rules = [numbers(field(one.offer, "poddedupe")), numbers(field(other.offer, "poddedupe"))];
            let alike = rules
                .iter()
                .any(|rules| !rules.contains(&NONE) && rules.iter().any(|rule| are_alike(*rule, one, other)));
            if alike {
                violations.push(format!("poddedupe: {} and {} are alike", one.impid, other.impid));
            }
        }
    }
}

fn placed<'v>(request: &'v Value, bid: &'v Value) -> Option<Placed<'v>> {
    let impid = text(field(bid, "impid"))?;
    let imp = field(request, "imp")?
        .as_array()?
        .iter()
        .find(|imp| text(field(imp, "id")).as_ref() == Some(&impid))?;
    let mtype = field(bid, "mtype")?.as_i64()?;
    let (_, name) =
        MEDIA.iter().find(|(number, name)| *number == mtype && ["video", "audio"].contains(name))?;
    Some(Placed { bid, impid, offer: field(imp, name)? })
}

/// All ads for one dynamic pod fit into its time, and there are no more than it takes.
fn judge_room(one: &Placed<'_>, bids: &[Placed<'_>], violations: &mut Vec<String>) {
    let Some(room) = number(field(one.offer, "poddur")) else { return };
    let here = || bids.iter().filter(|bid| std::ptr::eq(bid.offer, one.offer));
    let filled: f64 = here().filter_map(|placed| number(field(placed.bid, "dur"))).sum();
    if filled > room {
        violations.push(format!("poddur: {filled} s for {room} s"));
    }
    let count = here().count() as f64;
    if number(field(one.offer, "maxseq")).is_some_and(|most| count > most) {
        violations.push(format!("maxseq: {count} ads"));
    }
}

/// A place in the pod may be claimed where the request says which.
fn judge_slot(one: &Placed<'_>, violations: &mut Vec<String>) {
    let Some(claimed) = number(field(one.bid, "slotinpod")) else { return };
    let wanted = number(field(one.offer, "slotinpod")).unwrap_or(0.0);
    let fits = if wanted == 2.0 { claimed.abs() == 1.0 } else { wanted == 0.0 || claimed == wanted };
    if !fits {
        violations.push(format!("slotinpod: {claimed} where {wanted} is on sale"));
    }
}

fn share_a_pod(one: &Placed<'_>, other: &Placed<'_>) -> bool {
    let id = |placed: &Placed<'_>| text(field(placed.offer, "podid"));
    std::ptr::eq(one.offer, other.offer) || id(one).is_some() && id(one) == id(other)
}

/// By AdCOM "Pod Deduplication Settings".
fn are_alike(rule: i64, one: &Placed<'_>, other: &Placed<'_>) -> bool {
    let share = |one: Vec<String>, other: Vec<String>| one.iter().any(|text| other.contains(text));
    let both = |name: &str| [one, other].map(|placed| list(field(placed.bid, name)));
    let [ours, theirs] = match rule {
        1 => both("adomain"),
        2 => both("cat"),
        3 => both("crid"),
        4 => [one, other].map(files),
        _ => return false,
    };
    share(ours, theirs)
}

fn files(placed: &Placed<'_>) -> Vec<String> {
    let markup = text(field(placed.bid, "adm")).unwrap_or_default();
    let Ok(document) = Document::parse(&markup) else { return Vec::new() };
    let media = document.descendants().filter(|node| node.tag_name().name() == "MediaFile");
    media.filter_map(|node| node.text().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Judges bids, each (impression, `crid`, seconds, `slotinpod`), for two impressions with these video objects.
    fn check(videos: [Value; 2], bids: &[(&str, &str, i64, Option<i64>)], expected: &[&str]) {
        let imps: Vec<_> = (1..).zip(&videos).map(|(id, video)| json!({"id": id, "video": video})).collect();
        let bid = |(impid, crid, dur, slot): &(&str, &str, i64, Option<i64>)| {
            let adm = format!("<VAST><MediaFile>{crid}.mp4</MediaFile></VAST>");
            json!({
                "impid": impid, "crid": crid, "dur": dur, "slotinpod": slot, "mtype": 2, "adm": adm,
                "adomain": [if *crid < "c" { "shop.example" } else { "bank.example" }]
            })
        };
        let response = json!({"seatbid": [{"bid": bids.iter().map(bid).collect::<Vec<_>>()}]});
        let mut found = Vec::new();
        judge_pods(&json!({"imp": imps}), &response, &mut found);
        let heads: Vec<&str> = found.iter().map(|fault| fault.split(':').next().unwrap()).collect();
        assert_eq!(heads, expected, "{found:?}");
    }

    #[test]
    fn a_shared_pod_has_time_slots_and_rules() {
        let pod = |more: Value| {
            let mut pod = json!({"poddur": 60, "podid": "p"});
            pod.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            pod
        };
        let (two, three) = ([("1", "a", 30, None), ("1", "b", 30, None)], ("1", "c", 1, None));
        let with_three = [two[0], two[1], three];
        let one = |pod: Value| [pod, json!({})];
        check(one(pod(json!({"maxseq": 2}))), &two, &[]);
        check(one(pod(json!({"maxseq": 1}))), &two, &["maxseq"]);
        check(one(pod(json!({}))), &with_three, &["poddur"]);
        check(one(pod(json!({"poddedupe": [1]}))), &two, &["poddedupe"]);
        check(one(pod(json!({"poddedupe": [1, 5]}))), &two, &[]);
        check(one(pod(json!({"poddedupe": [3, 4]}))), &two, &[]);
        check(one(pod(json!({"poddedupe": [4]}))), &[two[0], two[0]], &["poddedupe"]);
        // One of two slots says what must not come twice in their pod.
        let slots =
            |pods: [&str; 2]| [json!({"podid": pods[0], "poddedupe": [3]}), json!({"podid": pods[1]})];
        let same = [("1", "a", 30, None), ("2", "a", 30, None)];
        check(slots(["p", "p"]), &same, &["poddedupe"]);
        check(slots(["p", "q"]), &same, &[]);
        let claims = |slot| [("1", "a", 30, Some(slot))];
        check(one(pod(json!({"slotinpod": 1}))), &claims(1), &[]);
        check(one(pod(json!({"slotinpod": 1}))), &claims(-1), &["slotinpod"]);
        check(one(pod(json!({"slotinpod": 2}))), &claims(-1), &[]);
    }

    #[test]
    fn only_a_pod_with_time_is_shared() {
        let request = json!({"imp": [{"id": 1, "banner": {}, "video": {"poddur": 60}, "audio": {}}]});
        for (mtype, shared) in [(1, false), (2, true), (3, false)] {
            assert_eq!(is_shared(&request, &json!({"impid": "1", "mtype": mtype})), shared);
        }
    }
}
