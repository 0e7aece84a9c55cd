//! From counts to the distribution of the price that wins, and from there to the best bids.

use super::axis::{Axis, BINS};

/// Bins of the axis and one for everything above it.
pub(super) const CELLS: usize = BINS + 1;
/// Probabilities, or counts, by bin.
pub(super) type Cells = [f32; CELLS];

/// How many outcomes of its own outweigh what the wider place says by half. pricing.md begins with 200; on the synthetic
/// market a wider place is another market, and 20 are better there.
const PARENT_OUTCOMES: f32 = 20.0;
/// The same where outcomes are only bounds: of those each says less, and a wide place's prices say much.
const PARENT_BOUNDS: f32 = 3.0;
/// Bids of a bin that are tried, for each bin.
const TRIED: usize = 4;
/// No bid is below this part of the value, unless it wins nearly for sure.
const LOWEST_PART: f64 = 0.2;
/// What nearly is.
const NEARLY_SURE: f64 = 0.9;

/// What is known of a place without prices of lost auctions.
pub(super) struct Censored<'c> {
    /// Prices of won auctions, where the exchange told them.
    pub(super) told: &'c Cells,
    /// Bids that won, where it did not, by edge of the axis: the price was below.
    pub(super) won: &'c Cells,
    /// Bids that lost, by edge: the price was above.
    pub(super) lost: &'c Cells,
}

/// The distribution where every price is known: counts drawn towards the wider place's distribution.
pub(super) fn open(counts: &Cells, parent: &Cells) -> Cells {
    let total: f32 = counts.iter().sum::<f32>() + PARENT_OUTCOMES;
    std::array::from_fn(|cell| (counts[cell] + PARENT_OUTCOMES * parent[cell]) / total)
}

/// The distribution where prices are known by bounds only: Turnbull's self-consistent estimate, with the wider place's
/// distribution as that many outcomes more, begun at `start` and smoothed a little at each step (Silverman's EMS),
/// because bounds alone leave a spiky estimate whose spikes a maximum would find.
pub(super) fn censored(seen: &Censored<'_>, parent: &Cells, start: &Cells) -> Cells {
    let mut density = *start;
    let spread = seen.won.iter().sum::<f32>() + seen.lost.iter().sum::<f32>() > 0.0;
    let rounds = if spread { ROUNDS } else { 1 };
    for _ in 0..rounds {
        density = round(seen, parent, &density);
        if spread {
            density = smoothed(&density);
        }
    }
    density
}

const ROUNDS: usize = 12;

/// One round: every outcome that is only a bound is spread over the prices it allows, by how likely they seem now.
fn round(seen: &Censored<'_>, parent: &Cells, density: &Cells) -> Cells {
    const LEAST: f32 = 1e-9;
    // The probability below each edge.
    let mut below: Cells = [0.0; CELLS];
    let mut sum = 0.0;
    for cell in 0..CELLS {
        below[cell] = sum;
        sum += density[cell];
    }
    // A win at an edge allows the bins below it, a loss those above.
    let mut by_wins: Cells = [0.0; CELLS];
    let mut suffix = 0.0;
    for cell in (0..CELLS).rev() {
        by_wins[cell] = suffix;
        suffix += seen.won[cell] / below[cell].max(LEAST);
    }
    let mut next: Cells = [0.0; CELLS];
    let (mut by_losses, mut total) = (0.0, 0.0);
    for cell in 0..CELLS {
        by_losses += seen.lost[cell] / (sum - below[cell]).max(LEAST);
        let bounds = density[cell] * (by_wins[cell] + by_losses);
        next[cell] = seen.told[cell] + PARENT_BOUNDS * parent[cell] + bounds;
        total += next[cell];
    }
    next.map(|cell| cell / total)
}

/// A tenth of each bin's probability goes to its neighbours, so that what is only bounded stays smooth.
fn smoothed(density: &Cells) -> Cells {
    const AWAY: f32 = 0.05;
    let mut next = *density;
    for cell in 1..BINS {
        let (left, right) = (density[cell - 1], density[cell]);
        next[cell - 1] += AWAY * (right - left);
        next[cell] += AWAY * (left - right);
    }
    next
}

/// The probability that the price that wins is below a bid at `within` (0 to 1) of `bin`.
pub(super) fn below(density: &Cells, bin: usize, within: f64) -> f64 {
    let whole: f32 = density[..bin.min(CELLS)].iter().sum();
    let part = density.get(bin).map_or(0.0, |cell| f64::from(*cell) * within);
    (f64::from(whole) + part).clamp(0.0, 1.0)
}

/// The best bid for the value at each edge of the axis but the last, as a part of the value, and its win probability.
pub(super) fn best_bids(axis: &Axis, density: &Cells) -> [(f64, f64); BINS] {
    const POINTS: usize = BINS * TRIED + 1;
    // Bids that are tried, and how likely each is to win.
    let mut bids = [0.0; POINTS];
    let mut wins = [0.0; POINTS];
    let mut sum = 0.0;
    for (bin, cell) in density.iter().take(BINS).enumerate() {
        let (from, to) = (axis.edges()[bin] as f64, axis.edges()[bin + 1] as f64);
        for part in 0..TRIED {
            let within = part as f64 / TRIED as f64;
            bids[bin * TRIED + part] = from * (to / from).powf(within);
            wins[bin * TRIED + part] = sum + f64::from(*cell) * within;
        }
        sum += f64::from(*cell);
    }
    bids[POINTS - 1] = axis.edges()[BINS] as f64;
    wins[POINTS - 1] = sum;
    let mut best = [(1.0, 0.0); BINS];
    // The best bid rises with the value, so each search begins where the last one ended.
    let mut first = 0;
    for (at, best) in best.iter_mut().enumerate() {
        let value = axis.edges()[at] as f64;
        let last = at * TRIED;
        while first < last && bids[first] < LOWEST_PART * value && wins[first] < NEARLY_SURE {
            first += 1;
        }
        let gain = |point: usize| (value - bids[point]) * wins[point];
        let mut chosen = first;
        for (point, bid) in bids.iter().enumerate().take(last + 1).skip(first) {
            if gain(point) > gain(chosen) {
                chosen = point;
            }
            // Even a bid that always wins would bring less from here on.
            if (value - bid) * sum < gain(chosen) {
                break;
            }
        }
        first = chosen;
        *best = ((bids[chosen] / value).min(1.0), wins[chosen]);
    }
    best
}
