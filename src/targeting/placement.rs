//! Kinds of placement: position, start, playback, refresh. Looked at when a creative is chosen, because they belong to
//! the medium that it fills; few line items have such rules, so the index knows nothing of them.

use crate::model::auction::Imp;
use crate::model::media::Medium;
use crate::model::targeting::{PlacementRules, Rule, StreamStart};

impl PlacementRules {
    /// Whether an impression is of a targeted kind for an ad in this medium.
    pub fn accept(&self, imp: &Imp<'_>, medium: &Medium<'_>) -> bool {
        let of_medium = match medium {
            Medium::Banner(banner) => meets(&self.positions, banner.pos),
            Medium::Video(video) => {
                meets(&self.positions, video.pos)
                    && meets(&self.video_placements, video.plcmt)
                    && meets(&self.starts, video.start_delay.and_then(StreamStart::of))
                    && meets(&self.playback_methods, video.playback_methods.first().copied())
            }
            Medium::Audio(audio) => {
                meets(&self.starts, audio.start_delay.and_then(StreamStart::of))
                    && meets(&self.feeds, audio.feed)
            }
            Medium::Native(native) => meets(&self.native_contexts, native.context),
        };
        of_medium && self.accept_any_medium(imp)
    }

    fn accept_any_medium(&self, imp: &Imp<'_>) -> bool {
        let refresh = imp.refresh.is_none_or(|refresh| {
            let rarely = |most| refresh.count.is_some_and(|count| count <= most);
            let slowly = |least| refresh.min_interval_s.is_some_and(|interval| interval >= least);
            self.max_refreshes.is_none_or(rarely) && self.min_refresh_s.is_none_or(slowly)
        });
        refresh
            && self.interstitial.is_none_or(|wanted| wanted == imp.interstitial)
            && self.rewarded.is_none_or(|wanted| wanted == imp.rewarded)
            && !(self.client_trackers && imp.ssai == Some(ALL_BY_SERVER))
    }
}

/// `ssai`: all stitched and tracked by the server.
const ALL_BY_SERVER: i64 = 3;

/// A field that is absent, or whose value is not known, meets no include list and no exclude list.
fn meets<T: PartialEq>(rule: &Rule<T>, value: Option<T>) -> bool {
    value.map_or(rule.include.is_empty(), |value| rule.accepts(&value))
}
