//! Why a bid was lost, as `${AUCTION_LOSS}` says it (OpenRTB 3.0, "Loss Reason Codes", which 2.6 uses).
//!
//! Deliberately absent: learning from prices that lost; the codes are counted and our own mistakes told.

use crate::exchange::Notified;

/// What an exchange said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Loss(Option<u16>);

impl Loss {
    pub(super) fn of(told: Notified<u16>) -> Loss {
        Loss(told.value())
    }

    /// Its label: few values, whatever is sent.
    pub(super) fn label(self) -> String {
        match self.0 {
            None => "none".to_owned(),
            Some(500..) => "exchange".to_owned(),
            Some(code @ (0..=10 | 100..=104 | 200..=215)) => code.to_string(),
            Some(_) => "unknown".to_owned(),
        }
    }

    /// The code, where the bid itself was at fault and somebody here should look: the answer was broken, or the ad was
    /// one that the request or the exchange does not take.
    pub(super) fn our_fault(self) -> Option<u16> {
        self.0.filter(|code| matches!(code, 3..=10 | 200..=215))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_of_the_list_has_its_label_and_the_rest_share_theirs() {
        let check = |told: Notified<u16>, expected: &str| assert_eq!(Loss::of(told).label(), expected);
        for code in (0..=10).chain(100..=104).chain(200..=215) {
            check(Notified::Value(code), &code.to_string());
        }
        for code in [11, 99, 105, 216, 499] {
            check(Notified::Value(code), "unknown");
        }
        check(Notified::Value(500), "exchange");
        check(Notified::Value(u16::MAX), "exchange");
        for unsaid in [Notified::Empty, Notified::Audit, Notified::Unsubstituted, Notified::Invalid] {
            check(unsaid, "none");
        }
    }

    #[test]
    fn our_faults_are_told_from_prices_that_lost() {
        let at_fault: Vec<u16> = (0..1_000).filter_map(|code| Loss(Some(code)).our_fault()).collect();
        let expected: Vec<u16> = (3..=10).chain(200..=215).collect();
        assert_eq!(at_fault, expected);
    }
}
