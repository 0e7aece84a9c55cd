//! The catalogue of what can be wrong or odd in an answer. An error means that an exchange may throw the bid away, with
//! the loss code that it would report, or that money or a notice is lost; everything else is a warning.

use crate::cli::check::finding::catalogue;

const ANSWER: &str = "OpenRTB 2.6 section 4.2.1";
const SEAT: &str = "OpenRTB 2.6 section 4.2.2";
const BID: &str = "OpenRTB 2.6 section 4.2.3";
const MACROS: &str = "OpenRTB 2.6 section 4.4";
const REQUEST: &str = "OpenRTB 2.6 section 3.2.1";
const IMP: &str = "OpenRTB 2.6 section 3.2.4";
const BANNER: &str = "OpenRTB 2.6 section 3.2.6";
const VIDEO: &str = "OpenRTB 2.6 section 3.2.7";
const PMP: &str = "OpenRTB 2.6 section 3.2.11";
const DEAL: &str = "OpenRTB 2.6 section 3.2.12";
const FORMATS: &str = "OpenRTB 2.6 section 2.3";
const FLOORS: &str = "OpenRTB 2.6 implementation guide section 7.11";
const SKIPS: &str = "OpenRTB 2.6 implementation guide section 7.4";
const PODS: &str = "OpenRTB 2.6 implementation guide section 7.6";
const NATIVE: &str = "OpenRTB Native 1.2 section 5";

catalogue! {
    // The answer and its seats.
    ANSWER_UNREADABLE: Error, "answer-unreadable", ANSWER,
        "An exchange drops what it cannot read.",
        "Send one JSON object." => 3;
    ANSWER_ID_MISSING: Error, "answer-id-missing", ANSWER,
        "The answer cannot be matched with its request.",
        "Echo the request's id." => 3;
    ANSWER_ID_OTHER: Error, "answer-id-other", ANSWER,
        "The answer cannot be matched with its request.",
        "Echo the request's id, byte for byte." => 5;
    NBR_WITH_BIDS: Error, "nbr-with-bids", ANSWER,
        "A reason for not bidding beside bids says two things.",
        "Send bids, or nbr." => 3;
    NBR_UNKNOWN: Warning, "nbr-unknown", ANSWER,
        "The exchange cannot tell why there is no bid.",
        "Send a code of the list of no-bid reasons, or one from 500 up that was agreed.";
    BIDS_MISSING: Error, "bids-missing", SEAT,
        "A seat stands for its bids; an answer without any is no bid.",
        "Leave the seat out, or the whole answer." => 3;
    CUR_UNREADABLE: Error, "answer-cur-unreadable", ANSWER,
        "What the price is in is not known.",
        "Name the currency by its code of ISO 4217, such as \"USD\"." => 3;
    CUR_NOT_ALLOWED: Error, "answer-cur-not-allowed", ANSWER,
        "The request allows other currencies alone; without cur the bid is in USD.",
        "Bid in a currency of the request's cur, USD where it has none." => 3;
    SEAT_MISSING: Warning, "seat-missing", SEAT,
        "Some exchanges take no bid without a seat.",
        "Send the seat that was agreed." => 104;
    SEAT_NOT_ALLOWED: Error, "seat-not-allowed", REQUEST,
        "Only the seats of wseat may bid.",
        "Bid for a seat that is listed, or not at all." => 104;
    SEAT_BLOCKED: Error, "seat-blocked", REQUEST,
        "The seats of bseat may not bid.",
        "Bid for another seat, or not at all." => 104;
    GROUP_UNASKED: Warning, "group-unasked", SEAT,
        "All or nothing is honoured where allimps says that all impressions are for one page.",
        "Send group only where the request has allimps 1.";
    // A bid.
    BID_ID_MISSING: Error, "bid-id-missing", BID,
        "Notices and logs name the bid by it.",
        "Give each bid an id of its own." => 3;
    BID_ID_TWICE: Error, "bid-id-twice", BID,
        "Two bids of one id cannot be told apart.",
        "Give each bid an id of its own." => 3;
    IMPID_MISSING: Error, "impid-missing", BID,
        "What the bid is for is not known.",
        "Send the id of the impression." => 3;
    IMPID_UNKNOWN: Error, "impid-unknown", BID,
        "The request has no such impression.",
        "Send the id of the impression, byte for byte." => 3;
    PRICE_MISSING: Error, "price-missing", BID,
        "A bid without a price is none.",
        "Send the price of a thousand impressions." => 9;
    PRICE_ODD: Error, "price-odd", BID,
        "A price is a finite number above 0.",
        "Send a number above 0." => 9;
    PRICE_FINE: Warning, "price-too-fine", BID,
        "Exchanges count millionths at most, and round the rest as they like.",
        "Send at most six decimals.";
    BELOW_FLOOR: Error, "below-floor", FLOORS,
        "The exchange drops bids under the floor.",
        "Bid at least the floor; equality is enough." => 100;
    BELOW_DEAL_FLOOR: Error, "below-deal-floor", FLOORS,
        "The exchange drops bids under the deal's floor.",
        "Bid at least the deal's floor, in its own currency." => 101;
    NOT_THE_DEAL_PRICE: Error, "not-the-deal-price", DEAL,
        "With at 3 the deal's bidfloor is the agreed price.",
        "Bid exactly the agreed price." => 101;
    FLOOR_NOT_COMPARED: Warning, "floor-not-compared", FLOORS,
        "Without an exchange rate it is not known whether the floor is met.",
        "Check with --demo or --exchange, which bring the rates of an account.";
    DEAL_UNKNOWN: Error, "deal-unknown", DEAL,
        "The impression does not offer this deal.",
        "Send the id of a deal that the impression lists." => 4;
    OPEN_IN_PRIVATE: Error, "open-in-private", PMP,
        "In a private auction only bids on a listed deal are allowed.",
        "Bid on a deal, or not at all." => 4;
    DEAL_SEAT: Error, "deal-seat", DEAL,
        "The deal is for other seats.",
        "Bid for a seat of the deal's wseat, or not on this deal." => 104;
    DEAL_ADVERTISER: Error, "deal-advertiser", DEAL,
        "The deal is for other advertisers.",
        "Bid for an advertiser of the deal's wadomain, or not on this deal." => 213;
    MARKUP_MISSING: Error, "markup-missing", BID,
        "There is neither an ad nor a notice that would bring one.",
        "Send the markup in adm." => 7;
    MARKUP_BY_NOTICE: Warning, "markup-by-notice", BID,
        "The ad must come as the answer to the win notice, which costs time and impressions.",
        "Send the markup in adm.";
    DOMAIN_MISSING: Error, "adomain-missing", BID,
        "Who advertises is not known, so that the exchange cannot check its block lists.",
        "Send the advertiser's domain." => 6;
    DOMAIN_ODD: Error, "adomain-odd", BID,
        "The exchange cannot look it up.",
        "Send a bare domain, such as \"example.com\"." => 6;
    CRID_MISSING: Error, "crid-missing", BID,
        "The creative cannot be reviewed.",
        "Send the creative's id." => 8;
    CID_MISSING: Warning, "cid-missing", BID,
        "Some exchanges review by campaign.",
        "Send the campaign's id." => 10;
    EXP_ODD: Warning, "bid-exp-odd", BID,
        "How long the bid stands is not known.",
        "Send whole seconds above 0, or leave it out.";
    LANGUAGES_BOTH: Warning, "bid-languages-both", BID,
        "Only one of the two should be sent.",
        "Send language or langb.";
    // What the request blocks.
    ADVERTISER_BLOCKED: Error, "advertiser-blocked", REQUEST,
        "badv blocks the domain or one that it lies below.",
        "Do not bid with this advertiser." => 205;
    APP_BLOCKED: Error, "app-blocked", REQUEST,
        "bapp blocks the app that the ad promotes.",
        "Do not bid with this app." => 206;
    CATEGORY_BLOCKED: Error, "category-blocked", REQUEST,
        "bcat blocks the category or one that it lies below.",
        "Do not bid with this category." => 209;
    CATEGORY_NOT_ALLOWED: Error, "category-not-allowed", REQUEST,
        "Only the categories of acat may be shown.",
        "Bid with categories of the list alone." => 209;
    TAXONOMY_UNSAID: Warning, "bid-cattax-unsaid", BID,
        "Without cattax the categories are of IAB Content 1.0, whose codes look like IAB25-3.",
        "Say in cattax which taxonomy the categories are of." => 209;
    LANGUAGE_NOT_ALLOWED: Error, "language-not-allowed", REQUEST,
        "Only the languages of wlang or wlangb may be shown.",
        "Bid with a creative in one of them." => 208;
    ATTRIBUTE_BLOCKED: Error, "attribute-blocked", BANNER,
        "battr blocks a creative attribute that the bid names.",
        "Bid with another creative." => 210;
    API_UNSUPPORTED: Error, "api-unsupported", BANNER,
        "An API that is not listed is not supported.",
        "Bid with a creative that needs none, or one of the list." => 204;
    TRANSPARENCY_MISSING: Error, "dsa-missing", "community extension DSA Transparency",
        "Where dsarequired is 2 or 3 a bid must declare who is behind the ad.",
        "Send bid.ext.dsa with behalf and paid." => 200;
    // What the ad is.
    MTYPE_MISSING: Error, "mtype-missing", BID,
        "The impression offers several media, and which the markup is for has to be guessed.",
        "Send mtype: 1 banner, 2 video, 3 audio, 4 native." => 3;
    MTYPE_UNSAID: Warning, "mtype-unsaid", BID,
        "Some exchanges ask for it even where only one medium is offered.",
        "Send mtype: 1 banner, 2 video, 3 audio, 4 native.";
    MTYPE_NOT_OFFERED: Error, "mtype-not-offered", BID,
        "The impression does not offer this medium.",
        "Bid with a medium that is offered." => 204;
    MARKUP_OTHER: Error, "markup-of-another-type", BID,
        "The markup is not of the medium that the bid names.",
        "Send HTML for banners, VAST for video and audio, JSON for native." => 204;
    SIZE_UNSAID: Warning, "size-unsaid", BID,
        "Which of the offered sizes the ad has is not known.",
        "Send w and h." => 203;
    SIZE_NOT_OFFERED: Error, "size-not-offered", BANNER,
        "The impression does not offer this size.",
        "Bid with a size of format, or of w and h where there are no formats." => 203;
    // Video and audio.
    VAST_BROKEN: Error, "vast-broken", VIDEO,
        "A player can make nothing of it.",
        "Send a whole VAST document with an ad in it." => 204;
    VAST_UNTRACKED: Warning, "vast-untracked", VIDEO,
        "Nobody hears of the impression, by which video and audio are billed.",
        "Send an Impression with a URL.";
    PROTOCOL_UNSUPPORTED: Error, "protocol-unsupported", VIDEO,
        "The player does not list this version of VAST; wrappers have codes of their own.",
        "Send a version of protocols." => 204;
    PROTOCOL_OTHER: Warning, "protocol-other", BID,
        "The bid names another version than its document has.",
        "Send the protocol of the document.";
    MIME_UNSUPPORTED: Error, "mime-unsupported", VIDEO,
        "The player lists none of the ad's content types.",
        "Send a file of a type in mimes." => 204;
    LINEARITY_OTHER: Error, "linearity-other", VIDEO,
        "The place is for the other kind, linear or overlaid.",
        "Send what linearity asks for." => 204;
    DURATION_UNSAID: Warning, "dur-unsaid", BID,
        "Floors by duration and pods need it.",
        "Send dur in seconds.";
    DURATION_OTHER: Warning, "dur-other", BID,
        "The bid names another duration than its document has.",
        "Send the duration of the document.";
    DURATION_NOT_ALLOWED: Error, "dur-not-allowed", VIDEO,
        "The ad is too short or too long for its place.",
        "Send an ad within minduration and maxduration, or of a length in rqddurs." => 200;
    POD_FULL: Error, "pod-overfull", PODS,
        "The bids for a dynamic pod are more or longer than it has room for; some of them cannot be shown.",
        "Send bids within poddur and maxseq." => 200;
    SLOT_UNASKED: Warning, "slotinpod-unasked", PODS,
        "Only bids for a dynamic pod name their slot.",
        "Leave slotinpod out.";
    SKIP_UNNAMED: Warning, "skip-unnamed", SKIPS,
        "The ad brings a skip button where none is wanted, and does not say so.",
        "Name attribute 16 in attr, or send an ad without the button." => 210;
    SKIP_NAMED: Warning, "skip-named", SKIPS,
        "Where skip is 1 the player brings the button, and attribute 16 is not to be named.",
        "Leave attribute 16 out.";
    // Native.
    NATIVE_BROKEN: Error, "native-broken", NATIVE,
        "A publisher can make nothing of it.",
        "Send the native answer as JSON in adm." => 204;
    NATIVE_WRAPPER: Warning, "native-wrapper", NATIVE,
        "Only answers to requests of version 1.0 stand inside {\"native\": …}.",
        "Answer in the form of the request.";
    NATIVE_ASSET_MISSING: Error, "native-asset-missing", NATIVE,
        "The layout has a hole where a required asset should be.",
        "Fill every required asset, or do not bid." => 204;
    NATIVE_ASSET_UNKNOWN: Error, "native-asset-unknown", NATIVE,
        "The layout has no place for it.",
        "Answer the assets that were asked for, by their ids." => 204;
    NATIVE_ASSET_ODD: Error, "native-asset-odd", NATIVE,
        "It does not fit the place that it is for.",
        "Send the kind that was asked for, within its length and size." => 204;
    NATIVE_LINK_MISSING: Error, "native-link-missing", NATIVE,
        "A click leads nowhere.",
        "Send link.url." => 204;
    NATIVE_TRACKER_UNASKED: Warning, "native-tracker-unasked", NATIVE,
        "Only events and methods that the request offers are tracked.",
        "Send trackers of the offered pairs.";
    // URLs and macros.
    INSECURE: Error, "insecure", IMP,
        "secure is 1: browsers refuse http inside of a page of https.",
        "Use https everywhere in the markup." => 207;
    INSECURE_NOTICE: Warning, "insecure-notice", IMP,
        "secure is 1, and a browser may be what fires the notice.",
        "Use https." => 207;
    URL_ODD: Error, "url-odd", BID,
        "Nobody can fetch it, so that the notice never comes.",
        "Send an absolute URL of http or https.";
    IMAGE_URL_ODD: Warning, "iurl-odd", BID,
        "Who reviews the ad cannot see it.",
        "Send an absolute URL of http or https.";
    PRICE_NOT_ASKED: Warning, "price-not-asked", MACROS,
        "The bill comes without the price that was charged.",
        "Put ${AUCTION_PRICE} into burl.";
    MACRO_UNKNOWN: Error, "macro-unknown", MACROS,
        "The exchange does not replace it, so that what it stands for never arrives.",
        "Write the macro as the specification does.";
    MACRO_ODD: Warning, "macro-odd", MACROS,
        "It is none of OpenRTB's macros, and stays as it is unless it was agreed.",
        "Check the name.";
    // Values, wherever they stand.
    TYPE_LOOSE: Warning, "answer-type-loose", FORMATS,
        "Exchanges that read strictly drop the answer.",
        "Send the type that is specified." => 3;
    TYPE_WRONG: Error, "answer-type-wrong", FORMATS,
        "It cannot be read.",
        "Send the type that is specified." => 3;
    FIELD_UNKNOWN: Warning, "answer-field-unknown", FORMATS,
        "The exchange reads past it.",
        "Check the name, or put what was agreed into ext.";
    VALUE_UNKNOWN: Warning, "answer-value-unknown", FORMATS,
        "The exchange takes it for unknown.",
        "Send a value of the list, or one from 500 up that was agreed.";
    DEPRECATED: Warning, "answer-deprecated", BID,
        "Exchanges may not read it any more.",
        "Send what replaced it.";
    NULL: Warning, "answer-null", FORMATS,
        "Exchanges that read strictly drop the answer.",
        "Leave the field out." => 3;
}
