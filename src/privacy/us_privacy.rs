//! The US privacy string of the CCPA ("USP v1"): four characters. Deprecated in favour of GPP, and still sent.

/// What a US privacy string says of the sale of personal data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UsPrivacy {
    /// The user opted out.
    pub opted_out: bool,
}

impl UsPrivacy {
    /// Reads `1`, notice, opt-out and agreement, each of the three `Y`, `N` or `-` (does not apply), in either case as
    /// they are sent; `None` for anything else.
    pub fn read(text: &str) -> Option<UsPrivacy> {
        let [b'1', answers @ ..] = text.as_bytes() else { return None };
        let answers: &[u8; 3] = answers.try_into().ok()?;
        let [notice, opt_out, agreement] = answers.map(|answer| answer.to_ascii_uppercase());
        let is_answer = |answer: u8| matches!(answer, b'Y' | b'N' | b'-');
        let all = is_answer(notice) && is_answer(opt_out) && is_answer(agreement);
        all.then_some(UsPrivacy { opted_out: opt_out == b'Y' })
    }
}
