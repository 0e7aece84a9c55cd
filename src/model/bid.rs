//! A decided bid, ready to be written as a response.

use super::auction::Size;
use super::creative::{Creative, NativeImage, Template, Transparency, VastTemplate};
use super::event::Evidence;
use super::ids::{BidId, CampaignId};
use super::media::FlexibleSize;
use super::money::{Cpm, Currency};
use super::token::TokenClaims;

/// One bid for one impression.
#[derive(Clone, Copy, Debug)]
pub struct Bid<'r> {
    /// `bid.impid`: the impression's id, byte for byte.
    pub imp_id: &'r str,
    /// Position of the impression in the request.
    pub imp_index: usize,
    /// `bid.id` and the key of every notice.
    pub id: BidId,
    /// `bid.price` in `currency`.
    pub price: Cpm,
    /// The answer's `cur`; the same for all bids of one answer.
    pub currency: Currency,
    /// The creative.
    pub creative: &'r Creative,
    /// What `bid.adm` is written from.
    pub fill: Fill<'r>,
    /// `bid.w` and `bid.h`: of a banner, and of video where a size was asked for.
    pub size: Option<Size>,
    /// `bid.wratio` and `bid.hratio`: the format that a banner fills, where that is a ratio and no size in pixels.
    pub flexible: Option<FlexibleSize>,
    /// `bid.dur`: seconds of video and audio.
    pub duration_s: Option<u32>,
    /// It brings a skip button that the player was not asked for, so that `bid.attr` names it (implementation guide
    /// section 7.4).
    pub skips_itself: bool,
    /// `bid.slotinpod`, in dynamic pods alone.
    pub slot_in_pod: Option<i64>,
    /// `bid.ext.dsa`, where the request wants it.
    pub transparency: Option<&'r Transparency>,
    /// `bid.cid`.
    pub campaign: CampaignId,
    /// `bid.dealid`.
    pub deal_id: Option<&'r str>,
    /// `bid.exp`: seconds the bidder will wait for the impression.
    pub exp_s: u32,
    /// What the notice tokens carry.
    pub claims: TokenClaims,
    /// What its price came from.
    pub evidence: &'r Evidence,
}

/// What an answer's markup is written from, by medium.
#[derive(Clone, Copy, Debug)]
pub enum Fill<'r> {
    /// HTML.
    Html(&'r Template),
    /// VAST; its protocol is `bid.protocol`.
    Vast(&'r VastTemplate),
    /// Native 1.2.
    Native(NativeFill<'r>),
}

/// What fills a native request.
#[derive(Clone, Copy, Debug)]
pub struct NativeFill<'r> {
    /// The answer stands inside `{"native": …}`, as the request did.
    pub wrapped: bool,
    /// (the request's asset id, what fills it), in the order of the request. All required ones are among them.
    pub assets: &'r [(i64, FilledAsset<'r>)],
    /// The impression may be tracked by an image in `eventtrackers`; else in the deprecated `imptrackers`.
    pub event_trackers: bool,
    /// A link about privacy may be given.
    pub privacy: bool,
}

/// What fills a native asset.
#[derive(Clone, Copy, Debug)]
pub enum FilledAsset<'r> {
    /// `title.text`.
    Title(&'r str),
    /// `img`.
    Image(&'r NativeImage),
    /// `data`, with its type.
    Data(i64, &'r str),
    /// `video.vasttag`.
    Video(&'r VastTemplate),
}
