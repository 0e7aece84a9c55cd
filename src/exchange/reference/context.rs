//! Site, app and dooh, device, user, regs and source.

use super::{Node, Oracle, ParseError};
use crate::model::auction::{
    Device, Dsa, Eid, Geo, Inventory, ProvidedSegment, Regs, Source, SupplyNode, User,
};
use crate::model::country::Country;

type Text<'a> = Result<Option<&'a str>, ParseError>;

impl<'a> Oracle<'a> {
    fn field(&self, object: &Node, key: &str) -> Text<'a> {
        object.read(key, |n| self.text(n))
    }

    fn list(&self, object: &Node, key: &str) -> Result<Vec<&'a str>, ParseError> {
        object.read(key, |n| self.texts(n))
    }

    pub(super) fn int_field(&self, object: &Node, key: &str) -> Option<i64> {
        self.int(object.all(key).last()?)
    }

    fn flag_field(&self, object: &Node, key: &str) -> Option<bool> {
        self.flag(object.all(key).last()?)
    }

    /// The entries of an array of objects.
    pub(super) fn objects<'n>(&self, node: &'n Node) -> Result<&'n [Node], ParseError> {
        let Node::Array(entries) = node else { return Ok(&[]) };
        if entries.len() > self.limits.array {
            self.over_limit("array", self.limits.array)?;
        }
        Ok(entries)
    }

    pub(super) fn taxonomy(&self, object: &Node) -> u16 {
        match self.int_field(object, "cattax") {
            None => 1,
            Some(tax @ 0..=65_535) => tax as u16,
            Some(_) => u16::MAX,
        }
    }

    /// `keywords`, else `kwarray`.
    fn keywords(&self, object: &Node) -> Result<Vec<&'a str>, ParseError> {
        let (keywords, kwarray) = (self.list(object, "keywords")?, self.list(object, "kwarray")?);
        Ok(if keywords.is_empty() { kwarray } else { keywords })
    }

    pub(super) fn inventory(&self, node: &Node) -> Result<Option<Inventory<'a>>, ParseError> {
        let Node::Object(_) = node else { return Ok(None) };
        let (of_content, content_keywords, content_language) = node.read("content", |content| {
            let (language, langb) = (self.field(content, "language")?, self.field(content, "langb")?);
            Ok((self.list(content, "cat")?, self.keywords(content)?, language.or(langb)))
        })?;
        let mut cat = Vec::new();
        for key in ["cat", "sectioncat", "pagecat"] {
            cat.extend(self.list(node, key)?);
        }
        cat.extend(of_content);
        let mut keywords = self.keywords(node)?;
        keywords.extend(content_keywords);
        let page = self.field(node, "page")?;
        let (venue_type, venue_type_id) = (self.list(node, "venuetype")?, self.list(node, "venuetypeid")?);
        let venue_tax = |key| self.int_field(node, key);
        Ok(Some(Inventory {
            id: self.field(node, "id")?,
            name: self.field(node, "name")?,
            domain: self.field(node, "domain")?.or(page.and_then(host_of)),
            bundle: self.field(node, "bundle")?,
            page,
            publisher_id: node.read("publisher", |publisher| self.field(publisher, "id"))?,
            publisher_domain: node.read("publisher", |publisher| self.field(publisher, "domain"))?,
            inventory_partner_domain: self.field(node, "inventorypartnerdomain")?,
            cat: self.keep(cat),
            cattax: self.taxonomy(node),
            keywords: self.keep(keywords),
            content_language,
            venue_types: self.keep(if venue_type.is_empty() { venue_type_id } else { venue_type }),
            venue_taxonomy: venue_tax("venuetypetax").or_else(|| venue_tax("venuetax")).unwrap_or(1),
        }))
    }

    pub(super) fn device(&self, node: &Node) -> Result<Device<'a>, ParseError> {
        let (sua_browser, sua_platform) = node.read("sua", |sua| {
            let browser = sua.read("browsers", |browsers| {
                let mut brands = Vec::new();
                for entry in self.objects(browsers)? {
                    brands.extend(self.field(entry, "brand")?);
                }
                Ok(brands.into_iter().find(|brand| !is_placeholder(brand)))
            })?;
            Ok((browser, sua.read("platform", |platform| self.field(platform, "brand"))?))
        })?;
        let (language, langb) = (self.field(node, "language")?, self.field(node, "langb")?);
        Ok(Device {
            ua: self.field(node, "ua")?,
            sua_browser,
            sua_platform,
            geo: node.read("geo", |n| self.geo(n))?,
            dnt: self.flag_field(node, "dnt"),
            lmt: self.flag_field(node, "lmt"),
            ip: self.field(node, "ip")?,
            ipv6: self.field(node, "ipv6")?,
            device_type: self.int_field(node, "devicetype"),
            make: self.field(node, "make")?,
            model: self.field(node, "model")?,
            os: self.field(node, "os")?,
            osv: self.field(node, "osv")?,
            language: langb.or(language),
            carrier: self.field(node, "carrier")?,
            mccmnc: self.field(node, "mccmnc")?,
            connection_type: self.int_field(node, "connectiontype"),
            ifa: self.field(node, "ifa")?.filter(|ifa| !ifa.trim_matches(['0', '-']).is_empty()),
        })
    }

    fn geo(&self, node: &Node) -> Result<Geo<'a>, ParseError> {
        Ok(Geo {
            country: self.field(node, "country")?.and_then(Country::parse),
            region: self.field(node, "region")?,
            metro: self.field(node, "metro")?,
            city: self.field(node, "city")?,
            zip: self.field(node, "zip")?,
            utc_offset_min: self.int_field(node, "utcoffset").and_then(|minutes| minutes.try_into().ok()),
            lat_micro: self.angle(node, "lat", 90),
            lon_micro: self.angle(node, "lon", 180),
            kind: self.int_field(node, "type"),
            accuracy_m: self.int_field(node, "accuracy"),
        })
    }

    /// Millionths of a degree.
    fn angle(&self, object: &Node, key: &str, limit: i32) -> Option<i32> {
        let degrees = self.decimal(object.all(key).last()?)?;
        let within = (f64::from(-limit)..=f64::from(limit)).contains(&degrees);
        if within { Some((degrees * 1_000_000.0).round() as i32) } else { None }
    }

    pub(super) fn user(&self, node: &Node) -> Result<User<'a>, ParseError> {
        let mut eids = node.read("eids", |n| self.eids(n))?;
        eids.extend(node.read("ext", |ext| ext.read("eids", |n| self.eids(n)))?);
        let ext_consent = node.read("ext", |ext| self.field(ext, "consent"))?;
        Ok(User {
            id: self.field(node, "id")?,
            buyeruid: self.field(node, "buyeruid")?,
            eids: self.keep(eids),
            consent: self.field(node, "consent")?.or(ext_consent),
            keywords: self.keep(self.keywords(node)?),
            geo: node.read("geo", |n| self.geo(n))?,
            segments: self.keep(node.read("data", |n| self.provided_segments(n))?),
        })
    }

    fn provided_segments(&self, node: &Node) -> Result<Vec<ProvidedSegment<'a>>, ParseError> {
        let mut all = Vec::new();
        for provider in self.objects(node)? {
            let provider_id = self.field(provider, "id")?;
            let provider_name = self.field(provider, "name")?;
            let taxonomy = provider.read("ext", |ext| Ok(self.int_field(ext, "segtax")))?;
            let ids = provider.read("segment", |segments| {
                let ids: Result<Vec<_>, _> =
                    self.objects(segments)?.iter().map(|segment| self.field(segment, "id")).collect();
                ids
            })?;
            for id in ids.into_iter().flatten() {
                all.push(ProvidedSegment { provider_id, provider_name, taxonomy, id });
            }
        }
        Ok(all)
    }

    fn eids(&self, node: &Node) -> Result<Vec<Eid<'a>>, ParseError> {
        let mut all = Vec::new();
        for entry in self.objects(node)? {
            let source = self.field(entry, "source")?;
            let match_method = self.int_field(entry, "mm");
            let ids = entry.read("uids", |uids| {
                let mut ids = Vec::new();
                for uid in self.objects(uids)? {
                    if let Some(id) = self.field(uid, "id")? {
                        ids.push((id, self.int_field(uid, "atype")));
                    }
                }
                Ok(ids)
            })?;
            let Some(source) = source else { continue };
            all.extend(ids.into_iter().map(|(id, agent_type)| Eid { source, id, match_method, agent_type }));
        }
        Ok(all)
    }

    pub(super) fn regs(&self, node: &Node) -> Result<Regs<'a>, ParseError> {
        let old = node.read("ext", |ext| {
            Ok(Regs {
                coppa: None,
                gdpr: self.flag_field(ext, "gdpr"),
                us_privacy: self.field(ext, "us_privacy")?,
                gpp: self.field(ext, "gpp")?,
                gpp_sid: ext.read("gpp_sid", |n| self.ints(n))?,
                gpc: self.is_set(ext, "gpc"),
                dsa: ext.read("dsa", |dsa| {
                    let field = |key| self.int_field(dsa, key);
                    let (required, publisher_renders) = (field("dsarequired"), field("pubrender"));
                    Ok(Dsa { required, publisher_renders, data_to_publisher: field("datatopub") })
                })?,
            })
        })?;
        let gdpr = match (self.flag_field(node, "gdpr"), old.gdpr) {
            (Some(one), Some(other)) => Some(one || other),
            (one, other) => one.or(other),
        };
        let gpp_sid = node.read("gpp_sid", |n| self.ints(n))?;
        Ok(Regs {
            coppa: self.flag_field(node, "coppa"),
            gdpr,
            us_privacy: self.field(node, "us_privacy")?.or(old.us_privacy),
            gpp: self.field(node, "gpp")?.or(old.gpp),
            gpp_sid: if gpp_sid.is_empty() { old.gpp_sid } else { gpp_sid },
            ..old
        })
    }

    pub(super) fn source(&self, node: &Node) -> Result<Source<'a>, ParseError> {
        let old = node.read("ext", |ext| ext.read("schain", |n| self.supply_chain(n)))?;
        let chain = node.read("schain", |n| self.supply_chain(n))?.or(old).unwrap_or_default();
        Ok(Source {
            upstream_decides: self.flag_field(node, "fd"),
            tid: self.field(node, "tid")?,
            payment_chain: self.field(node, "pchain")?,
            ..chain
        })
    }

    /// A chain, as the part of a source that it is.
    fn supply_chain(&self, node: &Node) -> Result<Option<Source<'a>>, ParseError> {
        let Node::Object(_) = node else { return Ok(None) };
        let nodes: Vec<SupplyNode<'a>> = node.read("nodes", |n| {
            let entries = self.objects(n)?.iter();
            let node = |entry| {
                Ok(SupplyNode {
                    asi: self.field(entry, "asi")?.unwrap_or(""),
                    sid: self.field(entry, "sid")?.unwrap_or(""),
                    pays: self.flag_field(entry, "hp"),
                })
            };
            entries.map(node).collect()
        })?;
        Ok(Some(Source {
            schain_complete: Some(self.is_set(node, "complete")),
            schain_version: self.field(node, "ver")?,
            schain_nodes: self.keep(nodes),
            ..Source::default()
        }))
    }
}

fn is_placeholder(brand: &str) -> bool {
    let letters: String = brand.chars().filter(char::is_ascii_alphabetic).collect();
    letters.eq_ignore_ascii_case("NotABrand")
}

/// The host in a URL, written with positions instead of splits.
fn host_of(page: &str) -> Option<&str> {
    let scheme_chars = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let scheme_end = page.find(|c| !scheme_chars(c)).filter(|at| page[*at..].starts_with("://"));
    let start = match (scheme_end, page.starts_with("//")) {
        (Some(at), _) => Some(at + 3),
        (None, true) => Some(2),
        (None, false) => None,
    };
    let rest = &page[start.unwrap_or(0)..];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = &authority[authority.rfind('@').map_or(0, |at| at + 1)..];
    let host = if host.starts_with('[') {
        &host[..host.find(']')? + 1]
    } else {
        &host[..host.find(':').unwrap_or(host.len())]
    };
    let plausible = start.is_some() || host.contains('.');
    (plausible && !host.is_empty()).then_some(host)
}
