//! Writers of the strings that the gate reads, made from the specifications and not from the reader.

/// Bits, the highest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits(pub(crate) Vec<bool>);

impl Bits {
    pub(crate) fn number(&mut self, value: u64, width: usize) -> &mut Bits {
        self.0.extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    /// A set of numbers from 1 to `width`, one bit each.
    pub(crate) fn set(&mut self, members: &[u16], width: u16) -> &mut Bits {
        self.0.extend((1..=width).map(|number| members.contains(&number)));
        self
    }

    pub(crate) fn fibonacci(&mut self, value: u32) -> &mut Bits {
        let mut terms = vec![1u32, 2];
        while terms[terms.len() - 1] <= value {
            terms.push(terms[terms.len() - 1] + terms[terms.len() - 2]);
        }
        terms.retain(|term| *term <= value);
        let (mut rest, mut code) = (value, vec![false; terms.len()]);
        for (at, term) in terms.iter().enumerate().rev() {
            if *term <= rest {
                (rest, code[at]) = (rest - term, true);
            }
        }
        self.0.extend(code);
        self.0.push(true);
        self
    }

    /// As base64url; `whole_bytes` pads to bytes first, as most encoders do.
    pub(crate) fn text(&self, whole_bytes: bool) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bits = self.0.clone();
        if whole_bytes {
            bits.resize(bits.len().next_multiple_of(8), false);
        }
        bits.resize(bits.len().next_multiple_of(6), false);
        let six = |six: &[bool]| six.iter().fold(0, |n, bit| n << 1 | usize::from(*bit));
        bits.chunks(6).map(|chunk| char::from(alphabet[six(chunk)])).collect()
    }
}

/// A set of vendors as it stands in a string.
#[derive(Clone, Debug)]
pub(crate) enum Vendors {
    /// The members, up to the highest id.
    Bits(Vec<u16>, u16),
    /// First and last of each range.
    Ranges(Vec<(u16, u16)>),
}

impl Vendors {
    pub(crate) fn contains(&self, vendor: u16) -> bool {
        match self {
            Vendors::Bits(members, max) => members.contains(&vendor) && (1..=*max).contains(&vendor),
            Vendors::Ranges(ranges) => ranges.iter().any(|(first, last)| (*first..=*last).contains(&vendor)),
        }
    }

    fn write(&self, out: &mut Bits) {
        match self {
            Vendors::Bits(members, max) => {
                out.number((*max).into(), 16).number(0, 1).set(members, *max);
            }
            Vendors::Ranges(ranges) => {
                let max = ranges.iter().map(|range| range.1).max().unwrap_or(0);
                out.number(max.into(), 16).number(1, 1);
                write_ranges(ranges, out);
            }
        }
    }
}

fn write_ranges(ranges: &[(u16, u16)], out: &mut Bits) {
    out.number(ranges.len() as u64, 12);
    for (first, last) in ranges {
        out.number((first != last).into(), 1).number((*first).into(), 16);
        if first != last {
            out.number((*last).into(), 16);
        }
    }
}

/// Purpose, type, vendors as ranges.
pub(crate) type Restriction = (u8, u8, Vec<(u16, u16)>);

/// A TC string to be.
#[derive(Clone, Debug)]
pub(crate) struct Tc {
    pub(crate) created_ds: u64,
    pub(crate) policy: u8,
    pub(crate) service_specific: bool,
    pub(crate) special_features: Vec<u16>,
    pub(crate) consented: Vec<u16>,
    pub(crate) interests: Vec<u16>,
    pub(crate) vendor_consents: Vendors,
    pub(crate) vendor_interests: Vendors,
    pub(crate) restrictions: Vec<Restriction>,
    pub(crate) disclosed: Option<Vendors>,
    /// A segment of the publisher's purposes before the disclosed vendors.
    pub(crate) publisher: bool,
}

/// 2025-06-01T00:00:00Z: under the policies of TCF 2.2, before disclosed vendors became mandatory.
pub(crate) const IN_2025_DS: u64 = 17_487_360_000;
/// 2026-06-01T00:00:00Z: disclosed vendors are mandatory.
pub(crate) const IN_2026_DS: u64 = 17_802_720_000;

impl Tc {
    /// Everything for `vendor`, and nothing restricted.
    pub(crate) fn all_for(vendor: u16) -> Tc {
        Tc {
            created_ds: IN_2026_DS,
            policy: 5,
            service_specific: true,
            special_features: vec![1, 2],
            consented: (1..=11).collect(),
            interests: vec![2, 7, 8, 9, 10, 11],
            vendor_consents: Vendors::Bits(vec![2, vendor], vendor + 9),
            vendor_interests: Vendors::Bits(vec![vendor], vendor),
            restrictions: Vec::new(),
            disclosed: Some(Vendors::Ranges(vec![(1, vendor)])),
            publisher: false,
        }
    }

    pub(crate) fn core(&self) -> Bits {
        let mut bits = Bits::default();
        bits.number(2, 6).number(self.created_ds, 36).number(self.created_ds, 36);
        // CMP and its version, screen, language "EN", vendor list.
        bits.number(31, 12).number(7, 12).number(1, 6).number(4, 6).number(13, 6).number(126, 12);
        bits.number(self.policy.into(), 6).number(self.service_specific.into(), 1).number(0, 1);
        bits.set(&self.special_features, 12).set(&self.consented, 24).set(&self.interests, 24);
        // Purpose one treatment, publisher's country "DE".
        bits.number(0, 1).number(3, 6).number(4, 6);
        self.vendor_consents.write(&mut bits);
        self.vendor_interests.write(&mut bits);
        bits.number(self.restrictions.len() as u64, 12);
        for (purpose, kind, vendors) in &self.restrictions {
            bits.number((*purpose).into(), 6).number((*kind).into(), 2);
            write_ranges(vendors, &mut bits);
        }
        bits
    }

    pub(crate) fn text(&self) -> String {
        let mut text = self.core().text(true);
        if self.publisher {
            let mut bits = Bits::default();
            bits.number(3, 3).set(&[1, 2], 24).set(&[2], 24).number(0, 6);
            text = format!("{text}.{}", bits.text(true));
        }
        if let Some(disclosed) = &self.disclosed {
            let mut bits = Bits::default();
            disclosed.write(bits.number(1, 3));
            text = format!("{text}.{}", bits.text(true));
        }
        text
    }
}

/// A GPP string of `sections`, whose ids ascend.
pub(crate) fn gpp(sections: &[(u16, String)]) -> String {
    let mut header = Bits::default();
    header.number(3, 6).number(1, 6);
    let ids: Vec<u32> = sections.iter().map(|(id, _)| u32::from(*id)).collect();
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for id in ids {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == id => *last = id,
            _ => runs.push((id, id)),
        }
    }
    header.number(runs.len() as u64, 12);
    let mut before = 0;
    for (first, last) in runs {
        header.number((first != last).into(), 1).fibonacci(first - before);
        if first != last {
            header.fibonacci(last - first);
        }
        before = last;
    }
    let texts = sections.iter().map(|(_, text)| format!("~{text}"));
    texts.fold(header.text(false), |gpp, text| gpp + &text)
}

/// A section of the United States: a version, fields of two bits, and Global Privacy Control if it is said.
pub(crate) fn us(version: u8, fields: &[u8], gpc: Option<bool>) -> String {
    let mut bits = Bits::default();
    bits.number(version.into(), 6);
    for field in fields {
        bits.number((*field).into(), 2);
    }
    let core = bits.text(true);
    match gpc {
        None => core,
        Some(gpc) => format!("{core}.{}", Bits::default().number(1, 2).number(gpc.into(), 1).text(true)),
    }
}
