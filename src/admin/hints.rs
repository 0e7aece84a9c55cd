//! What is allowed in a campaign or a line item and probably not meant, beside what the readers of an entry say: what
//! depends on the time, on what stands above, or on what serves.

use super::problem::FieldError;
use super::status::one_bid;
use crate::model::line_item::{Budget, Flight};
use crate::model::money::Nanos;
use crate::store::account_file::Editor;
use crate::store::control::{Kind, Row, Status};

/// How long a flight is at least that nobody is asked about.
const SOON_MS: i64 = 24 * 3_600_000;

/// Says what is odd about what was put; `has_audience` says whether any user is in any segment, where that is known.
pub(super) fn about(
    editor: &Editor,
    row: &Row,
    now_ms: i64,
    has_audience: &mut dyn FnMut() -> Option<bool>,
) -> Vec<FieldError> {
    let mut hints = Vec::new();
    if row.status == Status::Archived {
        return hints;
    }
    match row.kind {
        Kind::Campaign => {
            let Some(campaign) = editor.campaign(row.id) else { return hints };
            flight(campaign.flight, now_ms, &mut hints);
            budget(campaign.budget, None, &mut hints);
        }
        Kind::LineItem => {
            let Some(item) = editor.line_item(row.id) else { return hints };
            flight(item.flight, now_ms, &mut hints);
            let owner =
                editor.campaign(item.campaign.0).and_then(|above| editor.advertiser(above.advertiser.0));
            budget(item.budget, owner.map(|owner| one_bid(item, owner)), &mut hints);
            let segments = &item.targeting.segments;
            if segments.needs_user()
                && !editor.is_named_outside(&segments.wanted())
                && has_audience() == Some(false)
            {
                let message = "no user is in any segment yet, and no request can name one of these, so that nobody is reached";
                hints.push(odd("/targeting/audience", message.to_owned()));
            }
        }
        _ => {}
    }
    hints
}

fn flight(flight: Flight, now_ms: i64, hints: &mut Vec<FieldError>) {
    let Some(end) = flight.end_ms else { return };
    if end <= now_ms {
        hints.push(odd("/flight/end_at", "is over already, so that nothing serves".to_owned()));
    } else if end - now_ms < SOON_MS {
        hints.push(odd("/flight/end_at", "is within the next 24 hours".to_owned()));
    }
}

fn budget(Budget { lifetime, daily }: Budget, least: Option<Nanos>, hints: &mut Vec<FieldError>) {
    if let (Some(lifetime), Some(daily)) = (lifetime, daily)
        && daily > lifetime
    {
        hints.push(odd("/budget/daily", format!("is more than the lifetime budget of {lifetime}")));
    }
    for (pointer, budget) in [("/budget/lifetime", lifetime), ("/budget/daily", daily)] {
        if let (Some(budget), Some(least)) = (budget, least)
            && budget < least
        {
            hints.push(odd(pointer, format!("is less than one bid takes ({least}), so that nothing is bid")));
        }
    }
}

fn odd(pointer: &str, message: String) -> FieldError {
    FieldError::new(pointer, "suspicious", message)
}
