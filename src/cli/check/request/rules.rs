//! The catalogue of what can be wrong or odd in a request. An error means that the bidder refuses what is named: the
//! request, the impression, the medium or the deal, whatever its account holds; everything else is a warning.

use crate::cli::check::finding::catalogue;

const REQUEST: &str = "OpenRTB 2.6 section 3.2.1";
const REGS: &str = "OpenRTB 2.6 section 3.2.3";
const IMP: &str = "OpenRTB 2.6 section 3.2.4";
const BANNER: &str = "OpenRTB 2.6 section 3.2.6";
const VIDEO: &str = "OpenRTB 2.6 section 3.2.7";
const NATIVE: &str = "OpenRTB 2.6 section 3.2.9";
const PMP: &str = "OpenRTB 2.6 section 3.2.11";
const DEAL: &str = "OpenRTB 2.6 section 3.2.12";
const DEVICE: &str = "OpenRTB 2.6 section 3.2.18";
const GEO: &str = "OpenRTB 2.6 section 3.2.19";
const USER: &str = "OpenRTB 2.6 section 3.2.20";
const CHAIN: &str = "OpenRTB 2.6 section 3.2.25";
const EID: &str = "OpenRTB 2.6 section 3.2.27";
const QTY: &str = "OpenRTB 2.6 section 3.2.31";
const DOOH: &str = "OpenRTB 2.6 section 3.2.32";
const DURATIONS: &str = "OpenRTB 2.6 section 3.2.35";
const FORMATS: &str = "OpenRTB 2.6 section 2.3";
const TOLERANCE: &str = "OpenRTB 2.6 section 2.6";
const FLOORS: &str = "OpenRTB 2.6 implementation guide section 7.11";
const PODS: &str = "OpenRTB 2.6 implementation guide section 7.6";
const ASSETS: &str = "OpenRTB Native 1.2 section 4.2";
const LIMITS: &str = "the bidder's limits";

catalogue! {
    // The body and the request.
    UNREADABLE: Error, "unreadable", FORMATS,
        "The body is answered with status 400 and no bid.",
        "Send one JSON object, or one message of the OpenRTB schema.";
    REFUSED: Error, "refused", LIMITS,
        "The bidder refuses what is named here, whatever its account holds.",
        "Keep within the limits of the bidder, and name money and identity once in each object.";
    NOT_SEEN: Warning, "not-seen", FORMATS,
        "The bidder reads past it, but this check could not look at the fields.",
        "Use numbers and texts that every JSON reader takes.";
    OPENRTB_3: Error, "openrtb-3", REQUEST,
        "OpenRTB 3 is another protocol; it is answered with status 400.",
        "Send an OpenRTB 2.x request.";
    ID_MISSING: Error, "id-missing", REQUEST,
        "The answer must carry the id back; without one the request is answered with status 400.",
        "Give every auction an id of its own.";
    IMPS_MISSING: Error, "imp-missing", REQUEST,
        "Nothing is offered; the request is answered with status 400.",
        "Offer at least one impression in the array imp.";
    LIST_UNREADABLE: Error, "list-unreadable", REQUEST,
        "A list that forbids or restricts can only be obeyed as a whole, so nothing it applies to is bid \
         on.",
        "Send a list of texts, or of numbers where the list is of numbers.";
    IMP_ID_TWICE: Error, "imp-id-twice", IMP,
        "Bids name their impression by its id, so that nothing in this request is bid on.",
        "Give each impression of a request an id of its own.";
    CHANNELS_SEVERAL: Error, "channels-several", REQUEST,
        "Where the ad would be shown is not known, so that nothing in this request is bid on.",
        "Send one of site, app and dooh.";
    CURRENCIES_UNREADABLE: Error, "cur-unreadable", REQUEST,
        "No currency is left to bid in, so that nothing in this request is bid on.",
        "Name currencies by their codes of ISO 4217, such as \"USD\".";
    CURRENCY_ODD: Warning, "cur-odd", REQUEST,
        "The bidder leaves this entry out.",
        "Name currencies by their codes of ISO 4217, such as \"USD\".";
    CHANNEL_MISSING: Warning, "channel-missing", REQUEST,
        "Only line items that ask nothing of the place are bid.",
        "Send one of site, app and dooh.";
    TMAX_ODD: Warning, "tmax-odd", REQUEST,
        "The bidder uses its profile of the exchange for the time that it has.",
        "Give the milliseconds that an answer may take, the network included.";
    SEATS_BOTH: Warning, "seats-both", REQUEST,
        "Only one of the two should be sent; the bidder obeys both.",
        "Send wseat or bseat.";
    LANGUAGES_BOTH: Warning, "languages-both", REQUEST,
        "Only one of the two should be sent; a language in either is allowed.",
        "Send wlang or wlangb.";
    CATEGORIES_BOTH: Warning, "categories-both", REQUEST,
        "Only one of the two should be sent; the bidder obeys both.",
        "Send acat or bcat.";
    TAXONOMY_ODD: Warning, "cattax-odd", REQUEST,
        "The list is in another taxonomy than its cattax says (1, IAB Content 1.0, where absent), so that \
         it blocks nothing that it means to, or everything.",
        "Say in cattax which taxonomy the categories are of.";
    DOMAIN_ODD: Warning, "domain-odd", REQUEST,
        "Advertisers are compared by domain, so that this matches none.",
        "Send bare domains, such as \"example.com\".";
    // Values, wherever they stand.
    TYPE_LOOSE: Warning, "type-loose", FORMATS,
        "The bidder reads it all the same; other bidders may not.",
        "Send the type that is specified.";
    TYPE_WRONG: Warning, "type-wrong", FORMATS,
        "The bidder cannot read it and takes it for absent.",
        "Send the type that is specified.";
    FIELD_UNKNOWN: Warning, "field-unknown", TOLERANCE,
        "The bidder reads past it.",
        "Check the name, or put what was agreed with bidders into ext.";
    VALUE_UNKNOWN: Warning, "value-unknown", TOLERANCE,
        "The bidder takes it for unknown.",
        "Send a value of the list, or one from 500 up that was agreed.";
    DEPRECATED: Warning, "deprecated", TOLERANCE,
        "Bidders may not read it any more.",
        "Send what replaced it.";
    NULL: Warning, "null", FORMATS,
        "The bidder takes null for absent.",
        "Leave the field out.";
    // Impressions.
    IMP_ID_MISSING: Error, "imp-id-missing", IMP,
        "A bid could not name the impression, so that it is not bid on.",
        "Give each impression an id of its own.";
    MEDIA_MISSING: Error, "media-missing", IMP,
        "Nothing can be shown, so that the impression is not bid on.",
        "Offer one of banner, video, audio and native that can be filled.";
    FLOOR_UNREADABLE: Error, "floor-unreadable", IMP,
        "A floor that nobody can read cannot be met, so that what it prices is not bid on.",
        "Send a decimal from 0 up.";
    FLOOR_CURRENCY_UNREADABLE: Error, "floor-currency-unreadable", IMP,
        "A floor in an unknown currency cannot be met, so that what it prices is not bid on.",
        "Name the currency by its code of ISO 4217, such as \"USD\".";
    MULTIPLIER_UNREADABLE: Error, "multiplier-unreadable", QTY,
        "How many impressions a play is multiplies what it costs; as it is not known, the impression is \
         not bid on.",
        "Send a finite number above 0 as qty.multiplier.";
    EXPIRY_ODD: Warning, "exp-odd", IMP,
        "The bidder uses its profile of the exchange for how long money is set aside.",
        "Give the seconds between auction and impression, or leave it out.";
    TIME_ODD: Warning, "dt-odd", IMP,
        "The bidder takes the ad as shown at once.",
        "Give milliseconds since 1970, in UTC.";
    SIZE_MISSING: Warning, "size-missing", BANNER,
        "No banner of the account has a size that fits, so that it is not filled.",
        "List the sizes in format.";
    FORMAT_ODD: Warning, "format-odd", BANNER,
        "The bidder leaves this entry out.",
        "Give w and h, or wratio, hratio and wmin.";
    SIZE_NOT_LISTED: Warning, "size-not-listed", BANNER,
        "Where there are formats, they are the sizes that may be bid; this one is not offered.",
        "Add the size to format, or leave w and h out.";
    // Video and audio.
    MIMES_MISSING: Error, "mimes-missing", VIDEO,
        "Which files would play is not known, so that this medium counts as not offered.",
        "List the content types that the player takes, such as \"video/mp4\".";
    MIME_ODD: Warning, "mime-odd", VIDEO,
        "No file has this content type, so that it allows nothing.",
        "Send content types, such as \"video/mp4\".";
    DURATION_UNREADABLE: Error, "rqddurs-unreadable", VIDEO,
        "A list that restricts can only be obeyed as a whole, so that the impression is not bid on.",
        "Send whole seconds above 0.";
    DURATIONS_BOTH: Warning, "durations-both", VIDEO,
        "rqddurs excludes minduration and maxduration; the bidder obeys rqddurs alone.",
        "Send exact durations or a range.";
    DURATIONS_CROSSED: Warning, "durations-crossed", VIDEO,
        "No ad is long and short enough at once.",
        "Send minduration no larger than maxduration.";
    BITRATES_CROSSED: Warning, "bitrates-crossed", VIDEO,
        "No file with a bitrate fits.",
        "Send minbitrate no larger than maxbitrate.";
    SKIP_UNSAID: Warning, "skip-unsaid", VIDEO,
        "Whether the ad can be skipped is unknown as long as skip is absent.",
        "Send skip as well.";
    FLOORS_BOTH: Warning, "floors-both", FLOORS,
        "One form of a floor excludes the other; the bidder obeys mincpmpersec.",
        "Send mincpmpersec or durfloors.";
    FLOOR_RANGE_CROSSED: Warning, "floor-range-crossed", DURATIONS,
        "No duration lies in it.",
        "Send mindur no larger than maxdur.";
    POD_WITHOUT_ID: Warning, "pod-without-id", PODS,
        "The slots of one pod cannot be told from those of another.",
        "Send podid.";
    POD_COUNT_ALONE: Warning, "maxseq-alone", PODS,
        "maxseq counts the ads of a dynamic pod, which has a poddur.",
        "Send poddur as well, or leave maxseq out.";
    // Native.
    NATIVE_UNREADABLE: Error, "native-unreadable", NATIVE,
        "The medium counts as not offered.",
        "Send the native request as JSON in a text.";
    NATIVE_OBJECT: Warning, "native-object", NATIVE,
        "It is specified as JSON in a text; the bidder reads both.",
        "Send the native request as JSON in a text.";
    NATIVE_WRAPPED: Warning, "native-wrapped", NATIVE,
        "Native 1.0 put the request into {\"native\": …}; the bidder reads it and answers alike.",
        "Send the request without the wrapper and ask for version 1.2.";
    ASSETS_MISSING: Error, "assets-missing", ASSETS,
        "Nothing is asked for; the medium counts as not offered.",
        "Send between 1 and 64 assets.";
    ASSET_ID_TWICE: Error, "asset-id-twice", ASSETS,
        "The answer names assets by their id alone; the medium counts as not offered.",
        "Give each asset an id of its own.";
    ASSET_ID_MISSING: Warning, "asset-id-missing", ASSETS,
        "The answer could not name the asset: it is left out, or, where it is required, the medium not \
         filled.",
        "Give each asset an id of its own.";
    ASSET_KIND_ODD: Warning, "asset-kind-odd", ASSETS,
        "An asset is one of title, img, video and data; without one it cannot be filled, of several the \
         first counts.",
        "Send exactly one of title, img, video and data.";
    ASSET_VIDEO_ODD: Warning, "asset-video-odd", "OpenRTB Native 1.2 section 4.5",
        "Which files would play is not known, so that the asset cannot be filled.",
        "Send mimes, minduration, maxduration and protocols.";
    // Deals.
    PRIVATE_WITHOUT_DEALS: Error, "private-without-deals", PMP,
        "Only bids on a deal are allowed and there is none, so that the impression is not bid on.",
        "Send the deals, or leave private_auction out.";
    DEAL_ID_MISSING: Error, "deal-id-missing", DEAL,
        "A bid could not name the deal, so that it is not bid on.",
        "Give each deal its id.";
    DEAL_TWICE: Error, "deal-twice", DEAL,
        "Which terms hold is not certain, so that the deal is not bid on.",
        "List each deal once.";
    DEAL_FLOOR_UNREADABLE: Error, "deal-floor-unreadable", DEAL,
        "A floor that nobody can read cannot be met, so that the deal is not bid on.",
        "Send a decimal from 0 up.";
    DEAL_CURRENCY_UNREADABLE: Error, "deal-currency-unreadable", DEAL,
        "A floor in an unknown currency cannot be met, so that the deal is not bid on.",
        "Name the currency by its code of ISO 4217, such as \"USD\".";
    DEAL_PRICE_MISSING: Error, "deal-price-missing", DEAL,
        "With at 3 the bidfloor is the agreed price; there is none, so that the deal is not bid on.",
        "Send the agreed price as bidfloor.";
    DEAL_CURRENCY_UNSAID: Warning, "deal-currency-unsaid", FLOORS,
        "A deal's floor does not inherit the impression's currency; without one of its own it is in US \
         dollars.",
        "Send bidfloorcur with every deal that has a floor.";
    // Context, person, law.
    KEYWORDS_BOTH: Warning, "keywords-both", REQUEST,
        "Only one of the two should be sent; the bidder reads keywords.",
        "Send keywords or kwarray.";
    LANGUAGE_BOTH: Warning, "language-both", REQUEST,
        "Only one of the two should be sent.",
        "Send language or langb.";
    SCREEN_WITHOUT_PLACE: Warning, "dooh-without-place", DOOH,
        "A screen has no person and no address, so that its place is all that is known.",
        "Send device.geo.lat and device.geo.lon.";
    SCREEN_WITH_PERSON: Warning, "dooh-with-ifa", DOOH,
        "The id of a screen is no id of a person.",
        "Leave device.ifa out.";
    COUNTRY_ODD: Warning, "country-odd", GEO,
        "Countries are specified as alpha-3; what is no country counts as unknown.",
        "Send ISO 3166-1 alpha-3, such as \"USA\".";
    POSITION_ODD: Warning, "position-odd", GEO,
        "The bidder leaves the position out.",
        "Send lat within ±90 and lon within ±180, both or none.";
    ADDRESS_ODD: Warning, "address-odd", DEVICE,
        "The place and the network cannot be found by it.",
        "Send an IPv4 address as ip, an IPv6 address as ipv6.";
    IFA_EMPTY: Warning, "ifa-empty", DEVICE,
        "Systems say so that there is no id; the bidder takes it for absent.",
        "Leave ifa out.";
    MOVED: Warning, "place-of-2.5", "OpenRTB 2.6 appendix, changes from 2.5",
        "Version 2.5 had it there; the bidder reads both places.",
        "Send it where version 2.6 has it.";
    CONTRADICTION: Warning, "contradiction", "OpenRTB 2.6 appendix, changes from 2.5",
        "The places of 2.5 and 2.6 say two things; the bidder takes the stricter flag, else that of 2.6.",
        "Send it once.";
    CONSENT_MISSING: Warning, "consent-missing", USER,
        "GDPR applies and nobody consented, so that only the context is used.",
        "Send user.consent.";
    CONSENT_ODD: Warning, "consent-odd", USER,
        "It is no consent string of TCF 2, so that only the context is used.",
        "Send the string as the consent platform made it.";
    GPP_ODD: Warning, "gpp-odd", REGS,
        "It is no string of the Global Privacy Platform, so that only the context is used.",
        "Send the string as the consent platform made it.";
    GPP_UNSCOPED: Warning, "gpp-unscoped", REGS,
        "Which sections apply is not said.",
        "Send gpp_sid with gpp.";
    GPP_MISSING: Warning, "gpp-missing", REGS,
        "Sections apply and what they say is missing.",
        "Send gpp with gpp_sid.";
    US_PRIVACY_ODD: Warning, "us-privacy-odd", REGS,
        "It is no US privacy string, so that it counts for nothing.",
        "Send 1 and three of Y, N and -, such as \"1YNN\".";
    GPC_ODD: Warning, "gpc-odd", "community extension GPC",
        "Global Privacy Control is said by the text \"1\".",
        "Send the text \"1\", or leave it out.";
    CHAIN_INCOMPLETE: Warning, "schain-incomplete", CHAIN,
        "Who was paid is not known to the end; accounts that demand complete chains do not bid (no-bid \
         reason 16).",
        "Send every seller from the owner on, and complete 1.";
    CHAIN_NODE_ODD: Warning, "schain-node-odd", CHAIN,
        "A seller without asi and sid cannot be looked up.",
        "Send asi and sid of each node.";
    EID_ODD: Warning, "eid-odd", EID,
        "The bidder leaves it out.",
        "Send source, and uids with an id each.";
    SEGMENT_ODD: Warning, "segment-odd", "OpenRTB 2.6 section 3.2.22",
        "The bidder leaves it out.",
        "Give each segment its id.";
}
