//! What a serving core reads of all that was learned.

use super::revenue::Revenues;
use crate::model::ids::{AdvertiserId, CampaignId, LineItemId};
use crate::model::line_item::Predicts;
use crate::model::money::Nanos;
use crate::pricing::Predicted;
use crate::pricing::prediction::{Context, ContextSum, Crosses, Model};
use crate::pricing::shading::{Axis, Explorer, ShadeTable};
use std::collections::HashSet;
use std::sync::Arc;

/// The probability of a click while no model was good enough: one in a thousand.
const FIRST_CLICK_PPB: u32 = 1_000_000;
/// The same of a conversion after a click: one in a hundred.
const FIRST_CONVERSION_PPB: u32 = 10_000_000;

/// See the module. Immutable: new ones are published in their place.
#[derive(Clone, Debug)]
pub struct Tables {
    /// The best bids.
    pub shading: Arc<ShadeTable>,
    /// How often another one is tried.
    pub explorer: Explorer,
    /// Probabilities of clicks; `None` = no model has been good enough so far.
    pub click: Option<Arc<Model>>,
    /// Probabilities of conversions after a click.
    pub conversion: Option<Arc<Model>>,
    /// What conversions bring.
    pub revenues: Arc<Revenues>,
    /// Line items of which enough was seen; the others are new.
    pub known: Arc<HashSet<LineItemId, foldhash::fast::FixedState>>,
}

impl Default for Tables {
    /// Nothing was learned: bids are not shaded, and every impression is as likely to be clicked.
    fn default() -> Tables {
        Tables {
            shading: Arc::new(ShadeTable::unshaded(Axis::default())),
            explorer: Explorer { rate_ppm: 0 },
            click: None,
            conversion: None,
            revenues: Arc::default(),
            known: Arc::default(),
        }
    }
}

/// A new line item tries what may be on one of so many impressions, which keeps that below a twentieth of its spend.
const TRY_ONE_IN: u64 = 20;

/// What a request adds to the log-odds of all its candidates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    click: Option<ContextSum>,
    conversion: Option<ContextSum>,
}

/// Whose an offer is.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The advertiser.
    pub advertiser: AdvertiserId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The line item.
    pub line_item: LineItemId,
    /// What a conversion brings where none of the advertiser's told.
    pub conversion_value: Nanos,
}

/// An impression with a candidate for it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'s> {
    /// The impression.
    pub context: &'s Context,
    /// What it adds up to ([`Tables::sums`]).
    pub sums: Sums,
    /// The candidate.
    pub crosses: &'s Crosses,
    /// Uniform bits, the same for the same request.
    pub draw: u64,
}

impl Tables {
    /// Once for an impression.
    pub fn sums(&self, context: &Context) -> Sums {
        Sums {
            click: self.click.as_ref().map(|model| model.context_sum(context)),
            conversion: self.conversion.as_ref().map(|model| model.context_sum(context)),
        }
    }

    /// What to expect of a candidate, as far as it is `wanted`. A new line item is now and then taken at a probability that it
    /// may have, not at the likeliest, so that what was never tried is (Thompson sampling, McMahan et al. 2013, section 5).
    pub fn predict(&self, seen: &Seen<'_>, owner: &Owner, wanted: Predicts) -> Predicted {
        let Seen { context, sums, crosses, draw } = *seen;
        // Few bits decide whether, all of them what.
        let tries = (draw >> 40).is_multiple_of(TRY_ONE_IN) && !self.known.contains(&owner.line_item);
        let of = |model: &Option<Arc<Model>>, sum: Option<ContextSum>, first: u32| match (model, sum) {
            (Some(model), _) if tries => model.sample(context, crosses, owner.campaign, draw).ppb(),
            (Some(model), Some(sum)) => model.predict(sum, crosses, owner.campaign).ppb(),
            _ => first,
        };
        let mut predicted = Predicted::default();
        if wanted != Predicts::Nothing {
            predicted.click_ppb = of(&self.click, sums.click, FIRST_CLICK_PPB);
        }
        if wanted == Predicts::Conversions {
            predicted.conversion_ppb = of(&self.conversion, sums.conversion, FIRST_CONVERSION_PPB);
            let revenue = self.revenues.expected(owner.advertiser, owner.line_item);
            predicted.revenue = revenue.unwrap_or(owner.conversion_value);
        }
        predicted
    }
}
