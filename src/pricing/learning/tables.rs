//! What a serving core reads of all that was learned.

use super::revenue::Revenues;
use crate::model::ids::{AdvertiserId, CampaignId, LineItemId};
use crate::model::line_item::Predicts;
use crate::model::money::Nanos;
use crate::pricing::Predicted;
use crate::pricing::prediction::{Context, ContextSum, Crosses, Model};
use crate::pricing::shading::{Axis, Explorer, ShadeTable};
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
        }
    }
}

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
}

impl Tables {
    /// Once for an impression.
    pub fn sums(&self, context: &Context) -> Sums {
        Sums {
            click: self.click.as_ref().map(|model| model.context_sum(context)),
            conversion: self.conversion.as_ref().map(|model| model.context_sum(context)),
        }
    }

    /// What to expect of a candidate, as far as it is `wanted`; `fallback` is what a conversion brings where none of the
    /// advertiser's told.
    pub fn predict(
        &self,
        sums: &Sums,
        crosses: &Crosses,
        owner: &Owner,
        wanted: Predicts,
        fallback: Nanos,
    ) -> Predicted {
        let of = |model: &Option<Arc<Model>>, sum: Option<ContextSum>, first: u32| match (model, sum) {
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
            predicted.revenue = revenue.unwrap_or(fallback);
        }
        predicted
    }
}
