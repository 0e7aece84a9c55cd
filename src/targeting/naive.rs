//! One line item against one impression, rule by rule: what explain tells people, and the oracle of the index.
//!
//! Invariant: the checks stand in the rank order of [`NoBidReason`], so the first that fails is the reason to report.
//! Deliberately absent: speed. Nothing here is shared with the index but the reading of single fields (`normalise`),
//! so that a mistake in one shows against the other.

use super::{Facts, MatchInput, normalise, week};
use crate::model::auction::Imp;
use crate::model::country::Country;
use crate::model::exchange::IpNet;
use crate::model::ids::SegmentId;
use crate::model::list::{List, ListKind};
use crate::model::no_bid::NoBidReason;
use crate::model::targeting::{Fit, MediaType, Rule};
use crate::model::taxonomy::Taxonomy;
use std::fmt::Display;

/// The first rule that an impression does not meet, in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason to report.
    pub reason: NoBidReason,
    /// The dimension, such as `region`.
    pub dimension: &'static str,
    /// What of it: mostly the dimension itself.
    pub aspect: &'static str,
    /// What the line item asks for, such as `one of us-ca, us-ny`.
    pub wanted: String,
    /// What the request has, or `unknown`.
    pub got: String,
}

/// Whether the line item may be shown in the impression, as far as targeting goes.
pub fn matches(input: &MatchInput<'_>, facts: &Facts<'_>, imp: &Imp<'_>, taxonomy: &Taxonomy) -> bool {
    let case = Case { input, facts, imp, taxonomy };
    CHECKS.iter().all(|check| (check.passes)(&case, None))
}

/// The first rule, in rank order, that the impression does not meet; `None` = it is eligible.
pub fn first_failure(
    input: &MatchInput<'_>,
    facts: &Facts<'_>,
    imp: &Imp<'_>,
    taxonomy: &Taxonomy,
) -> Option<Failure> {
    let case = Case { input, facts, imp, taxonomy };
    CHECKS.iter().find_map(|check| {
        let mut said = Said::default();
        let passes = (check.passes)(&case, Some(&mut said));
        (!passes).then_some(Failure {
            reason: check.reason,
            dimension: check.dimension,
            aspect: said.aspect.unwrap_or(check.dimension),
            wanted: said.wanted,
            got: said.got,
        })
    })
}

/// The reason of [`first_failure`] alone, without its words: it allocates nothing.
pub fn first_reason(
    input: &MatchInput<'_>,
    facts: &Facts<'_>,
    imp: &Imp<'_>,
    taxonomy: &Taxonomy,
) -> Option<NoBidReason> {
    let case = Case { input, facts, imp, taxonomy };
    CHECKS.iter().find(|check| !(check.passes)(&case, None)).map(|check| check.reason)
}

/// All the dimensions that an impression does not meet.
pub fn failures(input: &MatchInput<'_>, facts: &Facts<'_>, imp: &Imp<'_>, taxonomy: &Taxonomy) -> Dimensions {
    let case = Case { input, facts, imp, taxonomy };
    let failed = CHECKS.iter().filter(|check| !(check.passes)(&case, None));
    Dimensions(failed.fold(0, |set, check| set | 1 << place_of(check.dimension)))
}

/// A set of dimensions of targeting. Permission to use segments is part of the dimension `segment`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Dimensions(u32);

impl Dimensions {
    /// Those of a number that [`Dimensions::bits`] gave.
    pub fn of_bits(bits: u32) -> Dimensions {
        Dimensions(bits & ((1 << CHECKS.len()) - 1))
    }

    /// As a number: one bit for each.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their names, in the order of evaluation.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        CHECKS
            .iter()
            .enumerate()
            .filter(move |(at, _)| self.0 >> at & 1 == 1)
            .map(|(_, check)| check.dimension)
    }
}

/// The place of the first check of a dimension.
fn place_of(dimension: &str) -> usize {
    CHECKS.iter().position(|check| check.dimension == dimension).unwrap_or(CHECKS.len())
}

struct Case<'c> {
    input: &'c MatchInput<'c>,
    facts: &'c Facts<'c>,
    imp: &'c Imp<'c>,
    taxonomy: &'c Taxonomy,
}

#[derive(Default)]
struct Said {
    /// Where it is not the dimension alone.
    aspect: Option<&'static str>,
    wanted: String,
    got: String,
}

/// Where a failing check writes what was wanted; `None` when nobody reads it.
type Tell<'t> = Option<&'t mut Said>;

struct Check {
    reason: NoBidReason,
    dimension: &'static str,
    passes: fn(&Case<'_>, Tell<'_>) -> bool,
}

const fn check(
    reason: NoBidReason,
    dimension: &'static str,
    passes: fn(&Case<'_>, Tell<'_>) -> bool,
) -> Check {
    Check { reason, dimension, passes }
}

const CHECKS: [Check; 24] = [
    check(NoBidReason::Daypart, "daypart", daypart),
    check(NoBidReason::Exchange, "exchange", exchange),
    check(NoBidReason::Deal, "deal", deal),
    check(NoBidReason::Format, "format", format),
    check(NoBidReason::Size, "size", size),
    check(NoBidReason::Geo, "country", country),
    check(NoBidReason::Geo, "region", region),
    check(NoBidReason::Geo, "metro", metro),
    check(NoBidReason::Geo, "city", city),
    check(NoBidReason::Geo, "zip", zip),
    check(NoBidReason::Geo, "address", address),
    check(NoBidReason::Device, "device_type", device_type),
    check(NoBidReason::Device, "os", os),
    check(NoBidReason::Device, "browser", browser),
    check(NoBidReason::Device, "connection", connection),
    check(NoBidReason::Device, "carrier", carrier),
    check(NoBidReason::Inventory, "domain", domain),
    check(NoBidReason::Inventory, "bundle", bundle),
    check(NoBidReason::Inventory, "publisher", publisher),
    check(NoBidReason::Inventory, "category", category),
    check(NoBidReason::Keyword, "keyword", keyword),
    check(NoBidReason::Language, "language", language),
    check(NoBidReason::Consent, "segment", consent),
    check(NoBidReason::Audience, "segment", segment),
];

/// Applies include and exclude lists; `hit` says whether the request has a value that the listed one means.
fn rule<T: Display>(
    rule: &Rule<T>,
    hit: impl Fn(&T) -> bool,
    tell: Tell<'_>,
    got: impl FnOnce() -> String,
) -> bool {
    let excluded = rule.exclude.iter().find(|value| hit(value));
    if excluded.is_none() && (rule.include.is_empty() || rule.include.iter().any(&hit)) {
        return true;
    }
    if let Some(said) = tell {
        said.wanted = match excluded {
            Some(value) => format!("not {value}"),
            None => format!("one of {}", list(&rule.include)),
        };
        said.got = got();
    }
    false
}

/// The same for a dimension in which lists count as well.
fn listed(
    case: &Case<'_>,
    kind: ListKind,
    own: &Rule<String>,
    hit: impl Fn(&String) -> bool,
    tell: Tell<'_>,
    got: impl FnOnce() -> String,
) -> bool {
    let targeting = case.input.targeting;
    let on = |list: &&List| {
        list.exchange.is_none_or(|only| only == case.facts.exchange) && list.values.iter().any(&hit)
    };
    let excluded = targeting.lists_of(kind, true).find(on);
    let mut lists = targeting.lists_of(kind, false).peekable();
    if excluded.is_none() && lists.peek().is_none() {
        return rule(own, hit, tell, got);
    }
    let is_excluded = excluded.is_some() || own.exclude.iter().any(&hit);
    if !is_excluded {
        let is_included =
            own.include.iter().any(&hit) || targeting.lists_of(kind, false).any(|list| on(&list));
        if is_included {
            return true;
        }
    }
    fail(tell, || Said {
        aspect: None,
        wanted: match (excluded, own.exclude.iter().find(|value| hit(value))) {
            (Some(list), _) => format!("not on {}", called(list)),
            (None, Some(value)) => format!("not {value}"),
            (None, None) => {
                let values = own.include.iter().cloned().chain(lists.map(called));
                format!("one of {}", list(values))
            }
        },
        got: got(),
    })
}

fn called(used: &List) -> String {
    match used.kind {
        // What has to agree with the exchange letter by letter is shown.
        ListKind::Deal if used.exchange.is_some() => {
            format!(
                "{} (deal {}, {})",
                list(used.values.iter().map(|id| format!("{id:?}"))),
                used.id,
                used.name
            )
        }
        _ => format!("list {} ({})", used.id, used.name),
    }
}

fn fail(tell: Tell<'_>, said: impl FnOnce() -> Said) -> bool {
    if let Some(told) = tell {
        *told = said();
    }
    false
}

/// The first few of a list, and how many more there are.
pub(crate) fn list<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 8;
    let values: Vec<String> = values.into_iter().map(|v| v.to_string()).collect();
    match values.len() {
        0 => "none".to_owned(),
        n if n <= SHOWN => values.join(", "),
        n => format!("{} and {} more", values[..SHOWN].join(", "), n - SHOWN),
    }
}

fn known<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |v| v.to_string())
}

/// Case-insensitive equality with a listed text; an empty one equals nothing.
fn same(listed: &str, value: &str) -> bool {
    let listed = listed.trim();
    !listed.is_empty() && listed.eq_ignore_ascii_case(value)
}

/// `listed` is `value`, or `value` with the country before it: `de:berlin`, `us-ca`.
fn same_place(listed: &str, country: Option<Country>, separator: char, value: &str) -> bool {
    let qualified = |country: Country| {
        listed.trim().split_once(separator).is_some_and(|(prefix, rest)| {
            prefix.eq_ignore_ascii_case(country.as_str()) && rest.eq_ignore_ascii_case(value)
        })
    };
    same(listed, value) || country.is_some_and(qualified)
}

/// `listed` is `value`, or a beginning of it that ends before a hyphen.
fn is_prefix(listed: &str, value: &str, fold: fn(u8) -> u8) -> bool {
    let (listed, value) = (listed.trim().as_bytes(), value.as_bytes());
    !listed.is_empty()
        && listed.len() <= value.len()
        && listed.iter().zip(value).all(|(a, b)| fold(*a) == fold(*b))
        && value.get(listed.len()).is_none_or(|next| fold(*next) == b'-')
}

fn text_rule(lists: &Rule<String>, value: Option<&str>, tell: Tell<'_>) -> bool {
    let value = normalise::text(value);
    rule(lists, |listed| value.is_some_and(|v| same(listed, v)), tell, || known(value))
}

fn listed_text(
    case: &Case<'_>,
    kind: ListKind,
    own: &Rule<String>,
    value: Option<&str>,
    tell: Tell<'_>,
) -> bool {
    let value = normalise::text(value);
    listed(case, kind, own, |listed| value.is_some_and(|v| same(listed, v)), tell, || known(value))
}

fn daypart(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let Some(daypart) = &case.input.targeting.daypart else { return true };
    let hour = week::civil_hour_of_week(
        &daypart.time_zone,
        case.imp.shown_ms(case.facts.unix_s * 1_000).div_euclid(1_000),
    );
    if hour.is_some_and(|hour| daypart.hours.contains(hour)) {
        return true;
    }
    fail(tell, || Said {
        aspect: None,
        wanted: format!("{} {}", week::readable(&daypart.hours), daypart.time_zone),
        got: hour.map_or_else(|| "unknown time zone".to_owned(), week::hour_of),
    })
}

fn exchange(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let exchange = case.facts.exchange;
    rule(&case.input.targeting.exchanges, |listed| *listed == exchange, tell, || exchange.to_string())
}

fn deal(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let (imp, deals) = (case.imp, &case.input.targeting.deals);
    if imp.private_auction && !case.input.targeting.wants_deals() {
        return fail(tell, || Said {
            aspect: Some("private_auction"),
            wanted: "an auction open to bids without a deal".to_owned(),
            got: "private auction".to_owned(),
        });
    }
    let offered = |listed: &String| !listed.is_empty() && imp.deals.iter().any(|deal| deal.id == listed);
    listed(case, ListKind::Deal, deals, offered, tell, || match imp.deals {
        [] => "no deal".to_owned(),
        deals => list(deals.iter().map(|deal| format!("{:?}", deal.id))),
    })
}

/// A medium must be both offered and allowed, and there must be a creative for it.
fn format(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let formats = &case.input.targeting.formats;
    let offered = || case.imp.media().map(|medium| medium.media_type());
    let ours = || case.input.fits.iter().map(|fit| fit.media_type()).filter(|medium| allows(formats, medium));
    if ours().any(|medium| offered().any(|other| other == medium)) {
        return true;
    }
    fail(tell, || {
        let mut media: Vec<MediaType> = ours().collect();
        media.dedup();
        let (wanted, got) = match (case.input.fits.is_empty(), media.is_empty()) {
            (true, _) => ("a creative that is active and approved".to_owned(), "none".to_owned()),
            (false, true) => ("a creative of a targeted medium".to_owned(), list(case.input.fits)),
            (false, false) => (list(media), list(offered())),
        };
        Said { aspect: case.input.fits.is_empty().then_some("no_creative"), wanted, got }
    })
}

fn allows<T: PartialEq>(rule: &Rule<T>, value: &T) -> bool {
    !rule.exclude.contains(value) && (rule.include.is_empty() || rule.include.contains(value))
}

fn size(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let sizes = &case.input.targeting.sizes;
    let (offered, flexible) =
        case.imp.banner.as_ref().map_or_else(Default::default, |b| (b.sizes, b.flexible));
    let usable = |fit: &&Fit| match fit {
        Fit::Banner(size) => allows(&case.input.targeting.formats, &MediaType::Banner) && allows(sizes, size),
        other => allows(&case.input.targeting.formats, &other.media_type()),
    };
    let is_offered = |fit: &Fit| match fit {
        Fit::Banner(size) => offered.contains(size) || flexible.iter().any(|format| format.admits(*size)),
        other => case.imp.media().any(|medium| medium.media_type() == other.media_type()),
    };
    if case.input.fits.iter().filter(usable).any(is_offered) {
        return true;
    }
    fail(tell, || Said {
        aspect: None,
        wanted: format!("one of {}", list(case.input.fits.iter().filter(usable))),
        got: list(offered),
    })
}

fn country(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let country = case.facts.auction.device.geo.country;
    rule(&case.input.targeting.countries, |listed| Some(*listed) == country, tell, || known(country))
}

fn region(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let geo = &case.facts.auction.device.geo;
    let region = normalise::region(geo);
    let hit = |listed: &String| region.is_some_and(|(country, code)| same_place(listed, country, '-', code));
    listed(case, ListKind::Region, &case.input.targeting.regions, hit, tell, || known(geo.region))
}

fn metro(case: &Case<'_>, tell: Tell<'_>) -> bool {
    listed_text(
        case,
        ListKind::Metro,
        &case.input.targeting.metros,
        case.facts.auction.device.geo.metro,
        tell,
    )
}

fn city(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let geo = &case.facts.auction.device.geo;
    let city = normalise::text(geo.city);
    let hit = |listed: &String| city.is_some_and(|city| same_place(listed, geo.country, ':', city));
    listed(case, ListKind::City, &case.input.targeting.cities, hit, tell, || known(city))
}

fn zip(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let geo = &case.facts.auction.device.geo;
    let zip = normalise::text(geo.zip);
    let hit = |listed: &String| zip.is_some_and(|zip| same_place(listed, geo.country, ':', zip));
    listed(case, ListKind::Zip, &case.input.targeting.zips, hit, tell, || known(zip))
}

/// An address is a reason to stay away without anybody's leave, and a reason to come only with it.
fn address(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let given = || normalise::addresses(case.facts.auction);
    let holds = |list: &List| {
        let blocks = || list.values.iter().filter_map(|block| IpNet::parse(block));
        given().any(|address| blocks().any(|block| block.contains(address)))
    };
    let targeting = case.input.targeting;
    let excluded = targeting.lists_of(ListKind::Address, true).find(|list| holds(list));
    let mut wanted = targeting.lists_of(ListKind::Address, false).peekable();
    let is_met = wanted.peek().is_none()
        || (case.facts.user_permitted && targeting.lists_of(ListKind::Address, false).any(holds));
    if excluded.is_none() && is_met {
        return true;
    }
    fail(tell, || Said {
        aspect: None,
        wanted: match excluded {
            Some(list) => format!("not on {}", called(list)),
            None => format!("one of {}", list(wanted.map(called))),
        },
        got: if case.facts.user_permitted { list(given()) } else { "no permission".to_owned() },
    })
}

fn device_type(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let device_type = case.facts.auction.device.device_type;
    let hit = |listed: &i64| match device_type {
        Some(4 | 5) if *listed == 1 => true,
        other => other == Some(*listed),
    };
    rule(&case.input.targeting.device_types, hit, tell, || known(device_type))
}

fn os(case: &Case<'_>, tell: Tell<'_>) -> bool {
    text_rule(&case.input.targeting.os, case.facts.os.or(case.facts.auction.device.os), tell)
}

fn browser(case: &Case<'_>, tell: Tell<'_>) -> bool {
    text_rule(&case.input.targeting.browsers, case.facts.browser, tell)
}

fn connection(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let connection = case.facts.auction.device.connection_type;
    rule(&case.input.targeting.connections, |listed| Some(*listed) == connection, tell, || known(connection))
}

fn carrier(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let device = &case.facts.auction.device;
    let (name, code) = (normalise::text(device.carrier), normalise::text(device.mccmnc));
    let hit = |listed: &String| name.into_iter().chain(code).any(|value| same(listed, value));
    rule(&case.input.targeting.carriers, hit, tell, || known(name.or(code)))
}

fn domain(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let host = normalise::site_host(case.facts.auction);
    let hit = |listed: &String| host.is_some_and(|host| is_subdomain(normalise::host(listed), host));
    listed(case, ListKind::Domain, &case.input.targeting.domains, hit, tell, || known(host))
}

fn is_subdomain(listed: &str, host: &str) -> bool {
    let Some(at) = host.len().checked_sub(listed.len()) else { return false };
    let (before, end) = host.as_bytes().split_at(at);
    !listed.is_empty()
        && end.eq_ignore_ascii_case(listed.as_bytes())
        && before.last().is_none_or(|b| *b == b'.')
}

fn bundle(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let inventory = case.facts.auction.channel.inventory();
    let value = inventory.and_then(|i| i.bundle);
    listed_text(case, ListKind::Bundle, &case.input.targeting.bundles, value, tell)
}

fn publisher(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let inventory = case.facts.auction.channel.inventory();
    let value = inventory.and_then(|i| i.publisher_id);
    listed_text(case, ListKind::Publisher, &case.input.targeting.publishers, value, tell)
}

fn category(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let (cattax, cat) = case.facts.auction.channel.inventory().map_or((1, &[][..]), |i| (i.cattax, i.cat));
    let hit = |listed: &crate::model::targeting::Category| {
        let means = |value: &str| match cattax {
            1 => is_prefix(&listed.id, value, |b| b.to_ascii_lowercase()),
            _ => same(&listed.id, value),
        };
        listed.cattax == cattax && cat.iter().any(|value| means(value.trim()))
    };
    rule(&case.input.targeting.categories, hit, tell, || list(cat.iter().map(|id| format!("{cattax}:{id}"))))
}

fn keyword(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let auction = case.facts.auction;
    let page = auction.channel.inventory().map_or(&[][..], |i| i.keywords);
    let user = if case.facts.user_permitted { auction.user.keywords } else { &[] };
    let hit = |listed: &String| page.iter().chain(user).any(|word| same(listed, word.trim()));
    listed(case, ListKind::Keyword, &case.input.targeting.keywords, hit, tell, || {
        list(page.iter().chain(user))
    })
}

/// Basic filtering of RFC 4647: a range accepts what it begins, hyphen by hyphen.
fn language(case: &Case<'_>, tell: Tell<'_>) -> bool {
    fn fold(byte: u8) -> u8 {
        if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
    }
    let language = normalise::text(case.facts.auction.device.language);
    let hit = |listed: &String| language.is_some_and(|language| is_prefix(listed, language, fold));
    rule(&case.input.targeting.languages, hit, tell, || known(language))
}

fn consent(case: &Case<'_>, tell: Tell<'_>) -> bool {
    if case.facts.user_permitted || !case.input.targeting.segments.needs_user() {
        return true;
    }
    fail(tell, || Said {
        aspect: None,
        wanted: "permission to use the user's segments".to_owned(),
        got: "no permission".to_owned(),
    })
}

fn segment(case: &Case<'_>, tell: Tell<'_>) -> bool {
    let held = if case.facts.user_permitted { case.facts.segments } else { &[] };
    let holds = |node: &SegmentId| held.iter().any(|id| case.taxonomy.is_under(*id, *node));
    let wanted = &case.input.targeting.segments;
    let unmet = if let Some(node) = wanted.none_of.iter().find(|node| holds(node)) {
        Some(("not", list([case.taxonomy.label(*node)])))
    } else if let Some(node) = wanted.all_of.iter().find(|node| !holds(node)) {
        Some(("all of", list([case.taxonomy.label(*node)])))
    } else if !wanted.any_of.is_empty() && !wanted.any_of.iter().any(holds) {
        Some(("one of", list(wanted.any_of.iter().map(|node| case.taxonomy.label(*node)))))
    } else {
        None
    };
    match unmet {
        None => true,
        Some((how, nodes)) => fail(tell, || Said {
            aspect: None,
            wanted: format!("{how} {nodes}"),
            got: list(held.iter().map(|id| case.taxonomy.label(*id))),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_stand_in_the_rank_order_of_the_reasons() {
        assert!(CHECKS.is_sorted_by_key(|check| check.reason));
    }

    #[test]
    fn a_long_list_is_shown_in_part() {
        assert_eq!(list(1..=3), "1, 2, 3");
        assert_eq!(list(1..=10), "1, 2, 3, 4, 5, 6, 7, 8 and 2 more");
        assert_eq!(list([0_u8; 0]), "none");
    }
}
