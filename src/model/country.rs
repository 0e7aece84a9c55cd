//! Countries. Requests name them in alpha-3 (OpenRTB 2.6 section 3.2.19) and, in the wild, in alpha-2; inside there is
//! one form, alpha-2 in upper case. Codes: ISO 3166-1, with `XK`/`XKX` (Kosovo), which is user-assigned but in use.

/// A country, as its ISO 3166-1 alpha-2 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads an alpha-2 or alpha-3 code in any case; `None` for a code that is not in ISO 3166-1.
    pub fn parse(code: &str) -> Option<Country> {
        match *code.trim().as_bytes() {
            [a, b] => Country::from_alpha2([a.to_ascii_uppercase(), b.to_ascii_uppercase()]),
            [a, b, c] => {
                let alpha3 = [a, b, c].map(|l| l.to_ascii_uppercase());
                let row = BY_ALPHA3.binary_search_by_key(&alpha3, |row| row.1);
                row.ok().map(|at| Country(BY_ALPHA3[at].0))
            }
            _ => None,
        }
    }

    /// Reads an alpha-2 code in upper case.
    pub fn from_alpha2(code: [u8; 2]) -> Option<Country> {
        let [row, column] = code.map(|letter| usize::from(letter.wrapping_sub(b'A')));
        let is_known = IS_ALPHA2.get(row).is_some_and(|columns| column < 26 && columns >> column & 1 == 1);
        is_known.then_some(Country(code))
    }

    /// The alpha-2 code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a country holds two ASCII letters")
    }

    /// The two letters of the alpha-2 code.
    pub fn alpha2(self) -> [u8; 2] {
        self.0
    }

    /// The alpha-3 code, as OpenRTB writes it.
    pub fn alpha3(&self) -> &'static str {
        let row = CODES.binary_search_by_key(&self.0, |row| row.0).expect("only codes of the table are made");
        std::str::from_utf8(&CODES[row].1).expect("the table is ASCII")
    }

    /// Whether the General Data Protection Regulation or its likes apply by place: the EEA, the United Kingdom and
    /// Switzerland.
    pub fn is_gdpr_place(&self) -> bool {
        GDPR.binary_search(&self.0).is_ok()
    }

    /// Every country.
    pub fn all() -> impl Iterator<Item = Country> {
        CODES.iter().map(|row| Country(row.0))
    }
}

impl std::fmt::Debug for Country {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Display for Country {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// EEA (EU-27, Iceland, Liechtenstein, Norway), the United Kingdom, Switzerland; sorted.
#[rustfmt::skip]
const GDPR: [[u8; 2]; 32] = [
    *b"AT", *b"BE", *b"BG", *b"CH", *b"CY", *b"CZ", *b"DE", *b"DK", *b"EE", *b"ES", *b"FI", *b"FR", *b"GB", *b"GR", *b"HR", *b"HU",
    *b"IE", *b"IS", *b"IT", *b"LI", *b"LT", *b"LU", *b"LV", *b"MT", *b"NL", *b"NO", *b"PL", *b"PT", *b"RO", *b"SE", *b"SI", *b"SK",
];

/// For each first letter, a bit for each second one with which it is an alpha-2 code.
static IS_ALPHA2: [u32; 26] = {
    let mut rows = [0; 26];
    let mut at = 0;
    while at < CODES.len() {
        let [row, column] = CODES[at].0;
        rows[(row - b'A') as usize] |= 1 << (column - b'A');
        at += 1;
    }
    rows
};

/// [`CODES`] sorted by alpha-3: the two columns sort almost alike, but not quite.
static BY_ALPHA3: [([u8; 2], [u8; 3]); CODES.len()] = {
    let mut rows = CODES;
    let mut end = 1;
    while end < rows.len() {
        let mut at = end;
        while at > 0 && is_before(&rows[at].1, &rows[at - 1].1) {
            rows.swap(at, at - 1);
            at -= 1;
        }
        end += 1;
    }
    rows
};

/// `a < b`, while compiling.
const fn is_before(a: &[u8; 3], b: &[u8; 3]) -> bool {
    u32::from_be_bytes([0, a[0], a[1], a[2]]) < u32::from_be_bytes([0, b[0], b[1], b[2]])
}

/// (alpha-2, alpha-3), sorted by alpha-2.
#[rustfmt::skip]
const CODES: [([u8; 2], [u8; 3]); 250] = [
    (*b"AD", *b"AND"), (*b"AE", *b"ARE"), (*b"AF", *b"AFG"), (*b"AG", *b"ATG"), (*b"AI", *b"AIA"),
    (*b"AL", *b"ALB"), (*b"AM", *b"ARM"), (*b"AO", *b"AGO"), (*b"AQ", *b"ATA"), (*b"AR", *b"ARG"),
    (*b"AS", *b"ASM"), (*b"AT", *b"AUT"), (*b"AU", *b"AUS"), (*b"AW", *b"ABW"), (*b"AX", *b"ALA"),
    (*b"AZ", *b"AZE"), (*b"BA", *b"BIH"), (*b"BB", *b"BRB"), (*b"BD", *b"BGD"), (*b"BE", *b"BEL"),
    (*b"BF", *b"BFA"), (*b"BG", *b"BGR"), (*b"BH", *b"BHR"), (*b"BI", *b"BDI"), (*b"BJ", *b"BEN"),
    (*b"BL", *b"BLM"), (*b"BM", *b"BMU"), (*b"BN", *b"BRN"), (*b"BO", *b"BOL"), (*b"BQ", *b"BES"),
    (*b"BR", *b"BRA"), (*b"BS", *b"BHS"), (*b"BT", *b"BTN"), (*b"BV", *b"BVT"), (*b"BW", *b"BWA"),
    (*b"BY", *b"BLR"), (*b"BZ", *b"BLZ"), (*b"CA", *b"CAN"), (*b"CC", *b"CCK"), (*b"CD", *b"COD"),
    (*b"CF", *b"CAF"), (*b"CG", *b"COG"), (*b"CH", *b"CHE"), (*b"CI", *b"CIV"), (*b"CK", *b"COK"),
    (*b"CL", *b"CHL"), (*b"CM", *b"CMR"), (*b"CN", *b"CHN"), (*b"CO", *b"COL"), (*b"CR", *b"CRI"),
    (*b"CU", *b"CUB"), (*b"CV", *b"CPV"), (*b"CW", *b"CUW"), (*b"CX", *b"CXR"), (*b"CY", *b"CYP"),
    (*b"CZ", *b"CZE"), (*b"DE", *b"DEU"), (*b"DJ", *b"DJI"), (*b"DK", *b"DNK"), (*b"DM", *b"DMA"),
    (*b"DO", *b"DOM"), (*b"DZ", *b"DZA"), (*b"EC", *b"ECU"), (*b"EE", *b"EST"), (*b"EG", *b"EGY"),
    (*b"EH", *b"ESH"), (*b"ER", *b"ERI"), (*b"ES", *b"ESP"), (*b"ET", *b"ETH"), (*b"FI", *b"FIN"),
    (*b"FJ", *b"FJI"), (*b"FK", *b"FLK"), (*b"FM", *b"FSM"), (*b"FO", *b"FRO"), (*b"FR", *b"FRA"),
    (*b"GA", *b"GAB"), (*b"GB", *b"GBR"), (*b"GD", *b"GRD"), (*b"GE", *b"GEO"), (*b"GF", *b"GUF"),
    (*b"GG", *b"GGY"), (*b"GH", *b"GHA"), (*b"GI", *b"GIB"), (*b"GL", *b"GRL"), (*b"GM", *b"GMB"),
    (*b"GN", *b"GIN"), (*b"GP", *b"GLP"), (*b"GQ", *b"GNQ"), (*b"GR", *b"GRC"), (*b"GS", *b"SGS"),
    (*b"GT", *b"GTM"), (*b"GU", *b"GUM"), (*b"GW", *b"GNB"), (*b"GY", *b"GUY"), (*b"HK", *b"HKG"),
    (*b"HM", *b"HMD"), (*b"HN", *b"HND"), (*b"HR", *b"HRV"), (*b"HT", *b"HTI"), (*b"HU", *b"HUN"),
    (*b"ID", *b"IDN"), (*b"IE", *b"IRL"), (*b"IL", *b"ISR"), (*b"IM", *b"IMN"), (*b"IN", *b"IND"),
    (*b"IO", *b"IOT"), (*b"IQ", *b"IRQ"), (*b"IR", *b"IRN"), (*b"IS", *b"ISL"), (*b"IT", *b"ITA"),
    (*b"JE", *b"JEY"), (*b"JM", *b"JAM"), (*b"JO", *b"JOR"), (*b"JP", *b"JPN"), (*b"KE", *b"KEN"),
    (*b"KG", *b"KGZ"), (*b"KH", *b"KHM"), (*b"KI", *b"KIR"), (*b"KM", *b"COM"), (*b"KN", *b"KNA"),
    (*b"KP", *b"PRK"), (*b"KR", *b"KOR"), (*b"KW", *b"KWT"), (*b"KY", *b"CYM"), (*b"KZ", *b"KAZ"),
    (*b"LA", *b"LAO"), (*b"LB", *b"LBN"), (*b"LC", *b"LCA"), (*b"LI", *b"LIE"), (*b"LK", *b"LKA"),
    (*b"LR", *b"LBR"), (*b"LS", *b"LSO"), (*b"LT", *b"LTU"), (*b"LU", *b"LUX"), (*b"LV", *b"LVA"),
    (*b"LY", *b"LBY"), (*b"MA", *b"MAR"), (*b"MC", *b"MCO"), (*b"MD", *b"MDA"), (*b"ME", *b"MNE"),
    (*b"MF", *b"MAF"), (*b"MG", *b"MDG"), (*b"MH", *b"MHL"), (*b"MK", *b"MKD"), (*b"ML", *b"MLI"),
    (*b"MM", *b"MMR"), (*b"MN", *b"MNG"), (*b"MO", *b"MAC"), (*b"MP", *b"MNP"), (*b"MQ", *b"MTQ"),
    (*b"MR", *b"MRT"), (*b"MS", *b"MSR"), (*b"MT", *b"MLT"), (*b"MU", *b"MUS"), (*b"MV", *b"MDV"),
    (*b"MW", *b"MWI"), (*b"MX", *b"MEX"), (*b"MY", *b"MYS"), (*b"MZ", *b"MOZ"), (*b"NA", *b"NAM"),
    (*b"NC", *b"NCL"), (*b"NE", *b"NER"), (*b"NF", *b"NFK"), (*b"NG", *b"NGA"), (*b"NI", *b"NIC"),
    (*b"NL", *b"NLD"), (*b"NO", *b"NOR"), (*b"NP", *b"NPL"), (*b"NR", *b"NRU"), (*b"NU", *b"NIU"),
    (*b"NZ", *b"NZL"), (*b"OM", *b"OMN"), (*b"PA", *b"PAN"), (*b"PE", *b"PER"), (*b"PF", *b"PYF"),
    (*b"PG", *b"PNG"), (*b"PH", *b"PHL"), (*b"PK", *b"PAK"), (*b"PL", *b"POL"), (*b"PM", *b"SPM"),
    (*b"PN", *b"PCN"), (*b"PR", *b"PRI"), (*b"PS", *b"PSE"), (*b"PT", *b"PRT"), (*b"PW", *b"PLW"),
    (*b"PY", *b"PRY"), (*b"QA", *b"QAT"), (*b"RE", *b"REU"), (*b"RO", *b"ROU"), (*b"RS", *b"SRB"),
    (*b"RU", *b"RUS"), (*b"RW", *b"RWA"), (*b"SA", *b"SAU"), (*b"SB", *b"SLB"), (*b"SC", *b"SYC"),
    (*b"SD", *b"SDN"), (*b"SE", *b"SWE"), (*b"SG", *b"SGP"), (*b"SH", *b"SHN"), (*b"SI", *b"SVN"),
    (*b"SJ", *b"SJM"), (*b"SK", *b"SVK"), (*b"SL", *b"SLE"), (*b"SM", *b"SMR"), (*b"SN", *b"SEN"),
    (*b"SO", *b"SOM"), (*b"SR", *b"SUR"), (*b"SS", *b"SSD"), (*b"ST", *b"STP"), (*b"SV", *b"SLV"),
    (*b"SX", *b"SXM"), (*b"SY", *b"SYR"), (*b"SZ", *b"SWZ"), (*b"TC", *b"TCA"), (*b"TD", *b"TCD"),
    (*b"TF", *b"ATF"), (*b"TG", *b"TGO"), (*b"TH", *b"THA"), (*b"TJ", *b"TJK"), (*b"TK", *b"TKL"),
    (*b"TL", *b"TLS"), (*b"TM", *b"TKM"), (*b"TN", *b"TUN"), (*b"TO", *b"TON"), (*b"TR", *b"TUR"),
    (*b"TT", *b"TTO"), (*b"TV", *b"TUV"), (*b"TW", *b"TWN"), (*b"TZ", *b"TZA"), (*b"UA", *b"UKR"),
    (*b"UG", *b"UGA"), (*b"UM", *b"UMI"), (*b"US", *b"USA"), (*b"UY", *b"URY"), (*b"UZ", *b"UZB"),
    (*b"VA", *b"VAT"), (*b"VC", *b"VCT"), (*b"VE", *b"VEN"), (*b"VG", *b"VGB"), (*b"VI", *b"VIR"),
    (*b"VN", *b"VNM"), (*b"VU", *b"VUT"), (*b"WF", *b"WLF"), (*b"WS", *b"WSM"), (*b"XK", *b"XKX"),
    (*b"YE", *b"YEM"), (*b"YT", *b"MYT"), (*b"ZA", *b"ZAF"), (*b"ZM", *b"ZMB"), (*b"ZW", *b"ZWE"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_are_sorted_and_hold_every_country_once() {
        assert!(CODES.is_sorted_by(|a, b| a.0 < b.0));
        assert!(BY_ALPHA3.is_sorted_by(|a, b| a.1 < b.1));
    }

    #[test]
    fn both_forms_name_the_same_country() {
        for code in (0..=u16::MAX).map(u16::to_be_bytes) {
            let is_listed = CODES.iter().any(|row| row.0 == code);
            assert_eq!(Country::from_alpha2(code), is_listed.then_some(Country(code)), "{code:?}");
        }
        for country in Country::all() {
            assert_eq!(Country::parse(country.as_str()), Some(country));
            assert_eq!(Country::parse(country.alpha3()), Some(country));
        }
        assert_eq!(Country::parse("usa"), Country::parse("US"));
        assert!(Country::parse("DEU").is_some_and(|c| c.is_gdpr_place()));
        assert!(Country::parse("USA").is_some_and(|c| !c.is_gdpr_place()));
        for odd in ["", "U", "ZZ", "ZZZ", "USAX", "1\u{e9}"] {
            assert_eq!(Country::parse(odd), None, "{odd}");
        }
    }
}
