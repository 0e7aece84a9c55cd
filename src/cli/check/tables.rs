//! What the schema does not say of the fields: which are deprecated, what their numbers may be, where they are written
//! down. Rows are named (object, field), as in the schema.

use std::ops::RangeInclusive;

/// A field of an object.
type Name = (&'static str, &'static str);

/// Deprecated or removed fields, and what replaced them.
pub(super) const DEPRECATED: &[(Name, &str)] = &[
    (("Video", "placement"), "plcmt, which says something else: do not copy the number"),
    (("Video", "sequence"), "slotinpod"),
    (("Video", "protocol"), "protocols"),
    (("Audio", "sequence"), "slotinpod"),
    (("Banner", "wmin"), "format, with wratio, hratio and wmin"),
    (("Banner", "hmin"), "format, with wratio, hratio and wmin"),
    (("Banner", "wmax"), "format"),
    (("Banner", "hmax"), "format"),
    (("Content", "videoquality"), "prodq"),
    (("Device", "didsha1"), "ifa"),
    (("Device", "didmd5"), "ifa"),
    (("Device", "dpidsha1"), "ifa"),
    (("Device", "dpidmd5"), "ifa"),
    (("Device", "macsha1"), "ifa"),
    (("Device", "macmd5"), "ifa"),
    (("User", "yob"), "segments in user.data"),
    (("User", "gender"), "segments in user.data"),
    (("NativeRequest", "layout"), "context and plcmttype"),
    (("NativeRequest", "adunit"), "context and plcmttype"),
    (("Bid", "api"), "apis"),
];

/// Fields that are in the text of the specification and not in its protobuf schema.
pub(super) const JSON_ONLY: &[Name] =
    &[("Content", "realtime"), ("Content", "firstbroadcast"), ("Data", "cids")];

/// Names that the specification's own examples use, and those of its text.
pub(super) const SPELLINGS: &[(Name, &str)] =
    &[(("DOOH", "venuetypeid"), "venuetype"), (("DOOH", "venuetax"), "venuetypetax")];

/// Lists that forbid or restrict: one that cannot be read in full cannot be obeyed.
pub(super) const RESTRICTING: &[Name] = &[
    ("BidRequest", "wseat"),
    ("BidRequest", "bseat"),
    ("BidRequest", "wlang"),
    ("BidRequest", "wlangb"),
    ("BidRequest", "acat"),
    ("BidRequest", "bcat"),
    ("BidRequest", "badv"),
    ("BidRequest", "bapp"),
    ("Deal", "wseat"),
    ("Deal", "wadomain"),
    ("Banner", "btype"),
    ("Banner", "battr"),
    ("Video", "battr"),
    ("Audio", "battr"),
    ("Native", "battr"),
];

/// Fields whose type a rule of their own judges.
pub(super) const JUDGED_ELSEWHERE: &[Name] = &[
    ("BidRequest", "id"),
    ("BidRequest", "imp"),
    ("BidRequest", "cur"),
    ("Imp", "id"),
    ("Imp", "bidfloor"),
    ("Imp", "bidfloorcur"),
    ("Deal", "bidfloor"),
    ("Deal", "bidfloorcur"),
    ("Deal", "mincpmpersec"),
    ("Deal", "durfloors"),
    ("Video", "rqddurs"),
    ("Audio", "rqddurs"),
    ("Video", "mincpmpersec"),
    ("Video", "durfloors"),
    ("Audio", "mincpmpersec"),
    ("Audio", "durfloors"),
    ("DurFloors", "mindur"),
    ("DurFloors", "maxdur"),
    ("DurFloors", "bidfloor"),
    ("Qty", "multiplier"),
    ("Native", "request"),
    ("Bid", "price"),
    // One object in place of the list is how version 2.5 was often written, and is read.
    ("Video", "companionad"),
    ("Audio", "companionad"),
];

/// Which numbers a field may have; beyond, they are unknown, which is to be tolerated.
pub(super) const NUMBERS: &[(Name, &[RangeInclusive<i64>])] = &[
    (("BidRequest", "at"), &[1..=2, OWN]),
    (("BidRequest", "cattax"), TAXONOMY),
    (("Imp", "ssai"), &[0..=3]),
    (("Banner", "pos"), &[0..=7]),
    (("Banner", "btype"), &[1..=4]),
    (("Banner", "battr"), ATTRIBUTE),
    (("Banner", "api"), API),
    (("Banner", "expdir"), &[1..=6]),
    (("Video", "linearity"), &[1..=2]),
    (("Video", "startdelay"), &[-2..=i64::MAX]),
    (("Video", "maxextended"), &[-1..=i64::MAX]),
    (("Video", "protocols"), PROTOCOL),
    (("Video", "playbackmethod"), &[1..=7]),
    (("Video", "playbackend"), &[1..=3]),
    (("Video", "delivery"), &[1..=3]),
    (("Video", "companiontype"), &[1..=3]),
    (("Video", "plcmt"), &[1..=4]),
    (("Video", "podseq"), &[-1..=1]),
    (("Video", "slotinpod"), &[-1..=2]),
    (("Video", "poddedupe"), &[1..=5]),
    (("Video", "pos"), &[0..=7]),
    (("Video", "battr"), ATTRIBUTE),
    (("Video", "api"), API),
    (("Audio", "startdelay"), &[-2..=i64::MAX]),
    (("Audio", "maxextended"), &[-1..=i64::MAX]),
    (("Audio", "protocols"), PROTOCOL),
    (("Audio", "delivery"), &[1..=3]),
    (("Audio", "companiontype"), &[1..=3]),
    (("Audio", "podseq"), &[-1..=1]),
    (("Audio", "slotinpod"), &[-1..=2]),
    (("Audio", "feed"), &[1..=3]),
    (("Audio", "nvol"), &[0..=4]),
    (("Audio", "battr"), ATTRIBUTE),
    (("Audio", "api"), API),
    (("Native", "battr"), ATTRIBUTE),
    (("Native", "api"), API),
    (("Deal", "at"), &[1..=3, OWN]),
    (("Deal", "guar"), &[0..=1]),
    (("Site", "cattax"), TAXONOMY),
    (("App", "cattax"), TAXONOMY),
    (("Publisher", "cattax"), TAXONOMY),
    (("Producer", "cattax"), TAXONOMY),
    (("Content", "cattax"), TAXONOMY),
    (("Content", "gtax"), TAXONOMY),
    (("Content", "context"), &[1..=7]),
    (("Content", "qagmediarating"), &[1..=3]),
    (("Content", "prodq"), &[0..=3]),
    (("Device", "devicetype"), &[1..=8]),
    (("Device", "connectiontype"), &[0..=7]),
    (("Geo", "type"), &[1..=3]),
    (("EID", "mm"), &[0..=5]),
    (("UID", "atype"), &[1..=3, OWN]),
    (("UserAgent", "source"), &[0..=3]),
    (("Qty", "sourcetype"), &[0..=3, OWN]),
    (("DsaRequest", "dsarequired"), &[0..=3]),
    (("DsaRequest", "pubrender"), &[0..=2]),
    (("DsaRequest", "datatopub"), &[0..=2]),
    (("NativeRequest", "context"), &[1..=3, OWN]),
    (("NativeRequest", "plcmttype"), &[1..=4, OWN]),
    (("NativeRequest.EventTrackers", "event"), &[1..=4, OWN]),
    (("NativeRequest.EventTrackers", "methods"), &[1..=2, OWN]),
    (("NativeRequest.Image", "type"), &[1..=3, OWN]),
    (("NativeRequest.Data", "type"), &[1..=12, OWN]),
    (("BidResponse", "nbr"), &[0..=17, OWN]),
    (("Bid", "mtype"), &[1..=4]),
    (("Bid", "protocol"), PROTOCOL),
    (("Bid", "attr"), ATTRIBUTE),
    (("Bid", "apis"), API),
    (("Bid", "cattax"), TAXONOMY),
    (("Bid", "qagmediarating"), &[1..=3]),
    (("Bid", "slotinpod"), &[-1..=2]),
];

/// Numbers that exchanges and vendors agree on among themselves.
const OWN: RangeInclusive<i64> = 500..=i64::MAX;
/// AdCOM "Category Taxonomies".
const TAXONOMY: &[RangeInclusive<i64>] = &[1..=9, OWN];
/// AdCOM "Creative Attributes".
const ATTRIBUTE: &[RangeInclusive<i64>] = &[1..=18, OWN];
/// AdCOM "API Frameworks".
const API: &[RangeInclusive<i64>] = &[1..=9, OWN];
/// AdCOM "Creative Subtypes - Audio/Video".
const PROTOCOL: &[RangeInclusive<i64>] = &[1..=16, OWN];

/// Where an object is written down.
const SECTIONS: &[(&str, &str)] = &[
    ("BidRequest", "OpenRTB 2.6 section 3.2.1"),
    ("Source", "OpenRTB 2.6 section 3.2.2"),
    ("Regs", "OpenRTB 2.6 section 3.2.3"),
    ("Imp", "OpenRTB 2.6 section 3.2.4"),
    ("Metric", "OpenRTB 2.6 section 3.2.5"),
    ("Banner", "OpenRTB 2.6 section 3.2.6"),
    ("Video", "OpenRTB 2.6 section 3.2.7"),
    ("Audio", "OpenRTB 2.6 section 3.2.8"),
    ("Native", "OpenRTB 2.6 section 3.2.9"),
    ("Format", "OpenRTB 2.6 section 3.2.10"),
    ("Pmp", "OpenRTB 2.6 section 3.2.11"),
    ("Deal", "OpenRTB 2.6 section 3.2.12"),
    ("Site", "OpenRTB 2.6 section 3.2.13"),
    ("App", "OpenRTB 2.6 section 3.2.14"),
    ("Publisher", "OpenRTB 2.6 section 3.2.15"),
    ("Content", "OpenRTB 2.6 section 3.2.16"),
    ("Producer", "OpenRTB 2.6 section 3.2.17"),
    ("Device", "OpenRTB 2.6 section 3.2.18"),
    ("Geo", "OpenRTB 2.6 section 3.2.19"),
    ("User", "OpenRTB 2.6 section 3.2.20"),
    ("Data", "OpenRTB 2.6 section 3.2.21"),
    ("Segment", "OpenRTB 2.6 section 3.2.22"),
    ("Network", "OpenRTB 2.6 section 3.2.23"),
    ("Channel", "OpenRTB 2.6 section 3.2.24"),
    ("SupplyChain", "OpenRTB 2.6 section 3.2.25"),
    ("SupplyChainNode", "OpenRTB 2.6 section 3.2.26"),
    ("EID", "OpenRTB 2.6 section 3.2.27"),
    ("UID", "OpenRTB 2.6 section 3.2.28"),
    ("UserAgent", "OpenRTB 2.6 section 3.2.29"),
    ("BrandVersion", "OpenRTB 2.6 section 3.2.30"),
    ("Qty", "OpenRTB 2.6 section 3.2.31"),
    ("DOOH", "OpenRTB 2.6 section 3.2.32"),
    ("Refresh", "OpenRTB 2.6 section 3.2.33"),
    ("RefSettings", "OpenRTB 2.6 section 3.2.34"),
    ("DurFloors", "OpenRTB 2.6 section 3.2.35"),
    ("BidResponse", "OpenRTB 2.6 section 4.2.1"),
    ("SeatBid", "OpenRTB 2.6 section 4.2.2"),
    ("Bid", "OpenRTB 2.6 section 4.2.3"),
    ("DsaRequest", "community extension DSA Transparency"),
    ("Transparency", "community extension DSA Transparency"),
    ("NativeRequest", "OpenRTB Native 1.2 section 4.1"),
    ("NativeRequest.Asset", "OpenRTB Native 1.2 section 4.2"),
    ("NativeRequest.Title", "OpenRTB Native 1.2 section 4.3"),
    ("NativeRequest.Image", "OpenRTB Native 1.2 section 4.4"),
    ("NativeRequest.Data", "OpenRTB Native 1.2 section 4.6"),
    ("NativeRequest.EventTrackers", "OpenRTB Native 1.2 section 4.7"),
];

/// Where an object is written down, if that is known.
pub(super) fn section(message: &str) -> Option<&'static str> {
    SECTIONS.iter().find(|(name, _)| *name == message).map(|(_, section)| *section)
}

/// Whether a table of names has this one.
pub(super) fn has(table: &[Name], message: &str, field: &str) -> bool {
    table.contains(&(message, field))
}

/// What a table says of a name.
pub(super) fn find<T: Copy>(table: &[(Name, T)], message: &str, field: &str) -> Option<T> {
    table.iter().find(|(name, _)| *name == (message, field)).map(|(_, value)| *value)
}
