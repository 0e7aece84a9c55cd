//! Unique people, by HyperLogLog (Flajolet and others 2007), which is exact while there are few.

use cardinality_estimator::CardinalityEstimator;
use std::collections::BTreeMap;
use std::hash::DefaultHasher;

/// 2¹⁴ registers of 6 bits: a standard error below 1 %.
type Sketch = CardinalityEstimator<u64, DefaultHasher, 14, 6>;

/// How many people there are of whom a sample has these records: a keyed hash of each person, and the number of people for whom it
/// stands. Who is in a thinner sample was in the denser one as well, so that each counts by the densest that has them.
pub fn unique(records: impl Iterator<Item = (u64, u32)>) -> f64 {
    let mut by_weight: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (person, one_in) in records {
        by_weight.entry(one_in.max(1)).or_default().push(person);
    }
    let (mut sketch, mut before, mut all) = (Sketch::new(), 0.0, 0.0);
    for (one_in, people) in by_weight {
        people.iter().for_each(|person| sketch.insert_hash(*person));
        let now = sketch.estimate() as f64;
        all += (now - before).max(0.0) * f64::from(one_in);
        before = now;
    }
    all
}
