//! How likely any price is to win, place by place, and what a win costs: for forecasts, which ask about prices that nobody bid.
//!
//! A copy of what a [`Landscape`] estimated, so that whoever reads it holds nobody up. Deliberately absent: the best bid, which
//! is the table's.

use super::axis::{Axis, BINS};
use super::estimate::{self, CELLS, Cells};
use super::landscape::Landscape;
use super::place::Place;
use crate::model::money::Cpm;
use std::collections::HashMap;

/// See the module.
#[derive(Clone, Debug)]
pub struct WinCurves {
    axis: Axis,
    curves: Vec<WinCurve>,
    by_key: HashMap<u64, u32>,
}

/// Of one place.
#[derive(Clone, Debug)]
pub struct WinCurve {
    density: Cells,
    /// Outcomes in the place, each worth less the older it is.
    pub outcomes: f64,
}

impl WinCurves {
    /// Those of a learner, as of its last estimate.
    pub(super) fn of(landscape: &Landscape, now: f32) -> WinCurves {
        let curves = landscape.buckets.iter().map(|bucket| WinCurve {
            density: bucket.density,
            outcomes: f64::from(bucket.counts.outcomes() / now),
        });
        WinCurves { axis: landscape.axis.clone(), curves: curves.collect(), by_key: landscape.by_key.clone() }
    }

    /// The number of the curve of the narrowest known place around an impression; 0 = that of all places together.
    pub fn find(&self, place: &Place) -> usize {
        place.keys.iter().rev().find_map(|key| self.by_key.get(key)).map_or(0, |at| *at as usize)
    }

    /// The same of its exchange.
    pub fn find_exchange(&self, place: &Place) -> usize {
        self.by_key.get(&place.keys[0]).map_or(0, |at| *at as usize)
    }

    /// A curve by its number.
    pub fn get(&self, number: usize) -> &WinCurve {
        &self.curves[number]
    }

    /// The probability that `price`, in the base currency, wins by a curve.
    pub fn win(&self, number: usize, price: Cpm) -> f64 {
        let (bin, within) = self.axis.place(price);
        estimate::below(&self.get(number).density, bin.min(BINS), within)
    }

    /// What somebody who wins with `price` pays on average where the winner pays the next price, which is at least `floor`; all in
    /// the base currency.
    pub fn second_price(&self, number: usize, price: Cpm, floor: Cpm) -> f64 {
        let (edges, density) = (self.axis.edges(), &self.get(number).density);
        let (top, least) = (price.0 as f64, floor.0.min(price.0) as f64);
        let (mut paid, mut mass) = (0.0, 0.0);
        for bin in 0..CELLS.min(BINS) {
            let (from, to) = (edges[bin] as f64, edges[bin + 1] as f64);
            if from >= top && bin > 0 {
                break;
            }
            // Within a bin prices lie evenly on the logarithm.
            let part = if to <= top { 1.0 } else { ((top / from).ln() / (to / from).ln()).clamp(0.0, 1.0) };
            let usual = (from * to.min(top).max(from)).sqrt();
            let weight = f64::from(density[bin]) * part;
            paid += weight * usual.clamp(least, top.max(least));
            mass += weight;
        }
        if mass > 0.0 { paid / mass } else { top }
    }
}
