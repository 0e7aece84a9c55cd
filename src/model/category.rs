//! Which categories of one taxonomy mean which of another. The engine ships no taxonomy and no mapping: an operator
//! imports the files of IAB Tech Lab ("Taxonomy Mappings") or own ones.

/// A mapping between two taxonomies (`cattax`, AdCOM "Category Taxonomies").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryMap {
    /// The taxonomy that is mapped.
    pub from: u16,
    /// The taxonomy that it is mapped to.
    pub to: u16,
    /// (category, what it means there); both sides may come more than once.
    pub pairs: Vec<(String, String)>,
}

impl CategoryMap {
    /// What categories of taxonomy `from` mean in taxonomy `to`, by this mapping read forwards or backwards. `None` when
    /// it is for other taxonomies, or when one of the categories has no counterpart: then nothing certain can be said.
    pub fn translate(&self, from: u16, to: u16, categories: &[String]) -> Option<Vec<String>> {
        let forwards = (self.from, self.to) == (from, to);
        if !forwards && (self.from, self.to) != (to, from) {
            return None;
        }
        let mut translated = Vec::new();
        for category in categories {
            let before = translated.len();
            let sides =
                self.pairs.iter().map(|(one, other)| if forwards { (one, other) } else { (other, one) });
            translated.extend(
                sides
                    .filter(|(ours, _)| ours.eq_ignore_ascii_case(category))
                    .map(|(_, theirs)| theirs.clone()),
            );
            if translated.len() == before {
                return None;
            }
        }
        Some(translated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_both_ways_and_never_in_part() {
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        let pairs = vec![pair("IAB1-6", "1419"), pair("IAB1-2", "1419"), pair("IAB13-6", "1200")];
        let map = CategoryMap { from: 1, to: 8, pairs };
        let check = |from, to, categories: &[&str], expected: Option<&[&str]>| {
            let categories: Vec<String> = categories.iter().map(|text| (*text).to_owned()).collect();
            let expected =
                expected.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
            assert_eq!(map.translate(from, to, &categories), expected);
        };
        check(1, 8, &["iab13-6"], Some(&["1200"]));
        check(1, 8, &["IAB13-6", "IAB1-2"], Some(&["1200", "1419"]));
        check(8, 1, &["1419"], Some(&["IAB1-6", "IAB1-2"]));
        check(1, 8, &["IAB13-6", "IAB9"], None);
        check(1, 7, &["IAB13-6"], None);
        check(1, 8, &[], Some(&[]));
    }
}
