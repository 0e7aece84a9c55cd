//! `site`, `app` and `dooh`: what they have in common.

use crate::exchange::json::Reader;
use crate::exchange::scan::Read;
use crate::model::auction::Inventory;

/// Reads `site`, `app` or `dooh`; `None` when it is no object.
pub(super) fn inventory<'a>(r: &mut Reader<'a>) -> Read<Option<Inventory<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut found = Inventory { cattax: 1, venue_taxonomy: 1, ..Inventory::default() };
    let mut venue = Venue::default();
    let (mut cat, mut sectioncat, mut pagecat) = (&[] as &[_], &[] as &[_], &[] as &[_]);
    let mut words = Words::default();
    let mut content = Content::default();
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"id" => found.id = r.text()?,
            b"name" => found.name = r.text()?,
            b"domain" => found.domain = r.text()?,
            b"bundle" => found.bundle = r.text()?,
            b"page" => found.page = r.text()?,
            b"publisher" => (found.publisher_id, found.publisher_domain) = publisher(r)?,
            b"inventorypartnerdomain" => found.inventory_partner_domain = r.text()?,
            b"cat" => cat = r.texts()?,
            b"sectioncat" => sectioncat = r.texts()?,
            b"pagecat" => pagecat = r.texts()?,
            b"cattax" => found.cattax = taxonomy(r)?,
            b"keywords" => words.keywords = r.texts()?,
            b"kwarray" => words.kwarray = r.texts()?,
            b"content" => content = read_content(r)?,
            _ => venue.field(r, key)?,
        }
    }
    found.domain = found.domain.or_else(|| found.page.and_then(host));
    found.cat = r.concat(&[cat, sectioncat, pagecat, content.cat]);
    found.keywords = r.concat(&[words.joined(), content.words.joined()]);
    found.content_language = content.language.or(content.langb);
    found.venue_types = if venue.types.is_empty() { venue.type_ids } else { venue.types };
    found.venue_taxonomy = venue.type_tax.or(venue.tax).unwrap_or(1);
    Ok(Some(found))
}

/// The kind of place of a screen, by the names that the specification uses in its text and those in its examples.
#[derive(Default)]
struct Venue<'a> {
    types: &'a [&'a str],
    type_ids: &'a [&'a str],
    type_tax: Option<i64>,
    tax: Option<i64>,
}

impl<'a> Venue<'a> {
    fn field(&mut self, r: &mut Reader<'a>, key: &[u8]) -> Read<()> {
        match key {
            b"venuetype" => self.types = r.texts()?,
            b"venuetypeid" => self.type_ids = r.texts()?,
            b"venuetypetax" => self.type_tax = r.int()?,
            b"venuetax" => self.tax = r.int()?,
            _ => r.skip()?,
        }
        Ok(())
    }
}

/// A `cattax`: 1 when absent or unreadable; a number that is no known taxonomy stays one.
pub(super) fn taxonomy(r: &mut Reader<'_>) -> Read<u16> {
    r.int().map(taxonomy_of)
}

/// What a `cattax` comes to, see [`taxonomy`].
pub(in crate::exchange) fn taxonomy_of(cattax: Option<i64>) -> u16 {
    cattax.map_or(1, |tax| u16::try_from(tax).unwrap_or(u16::MAX))
}

/// The two ways to give keywords.
#[derive(Clone, Copy, Default)]
pub(super) struct Words<'a> {
    pub(super) keywords: &'a [&'a str],
    pub(super) kwarray: &'a [&'a str],
}

impl<'a> Words<'a> {
    /// `keywords`, or `kwarray` where that has none.
    pub(super) fn joined(self) -> &'a [&'a str] {
        if self.keywords.is_empty() { self.kwarray } else { self.keywords }
    }
}

#[derive(Default)]
struct Content<'a> {
    cat: &'a [&'a str],
    words: Words<'a>,
    language: Option<&'a str>,
    langb: Option<&'a str>,
}

fn read_content<'a>(r: &mut Reader<'a>) -> Read<Content<'a>> {
    let mut content = Content::default();
    let Some(mut walk) = r.object()? else { return Ok(content) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"cat" => content.cat = r.texts()?,
            b"keywords" => content.words.keywords = r.texts()?,
            b"kwarray" => content.words.kwarray = r.texts()?,
            b"language" => content.language = r.text()?,
            b"langb" => content.langb = r.text()?,
            _ => r.skip()?,
        }
    }
    Ok(content)
}

/// `id` and `domain`.
type Publisher<'a> = (Option<&'a str>, Option<&'a str>);

fn publisher<'a>(r: &mut Reader<'a>) -> Read<Publisher<'a>> {
    let (mut id, mut domain) = (None, None);
    let Some(mut walk) = r.object()? else { return Ok((id, domain)) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"id" => id = r.text()?,
            b"domain" => domain = r.text()?,
            _ => r.skip()?,
        }
    }
    Ok((id, domain))
}

/// The host of a page's URL, as sent; without a scheme, what looks like a host name at its start.
pub(in crate::exchange) fn host(page: &str) -> Option<&str> {
    let is_scheme = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let with_scheme = page.split_once("://").filter(|(scheme, _)| is_scheme(scheme));
    let after_scheme = with_scheme.map(|(_, rest)| rest).or_else(|| page.strip_prefix("//"));
    let rest = after_scheme.unwrap_or(page);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host_and_port.starts_with('[') {
        true => &host_and_port[..=host_and_port.find(']')?],
        false => host_and_port.split(':').next()?,
    };
    (!host.is_empty() && (after_scheme.is_some() || host.contains('.'))).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::host;

    fn check(page: &str, expected: Option<&str>) {
        assert_eq!(host(page), expected, "{page}");
    }

    #[test]
    fn the_host_of_a_page_is_found() {
        check("https://News.example.com/a/b?c#d", Some("News.example.com"));
        check("http://user:pw@example.com:8080/", Some("example.com"));
        check("https://[2001:db8::1]:443/x", Some("[2001:db8::1]"));
        check("//cdn.example.com/x", Some("cdn.example.com"));
        check("example.com/path", Some("example.com"));
        check("https://example.com?u=http://b.test/", Some("example.com"));
        check("example.com/?u=http://b.test/", Some("example.com"));
        check("https://a.test/?u=http://b.test/", Some("a.test"));
        check("https://localhost", Some("localhost"));
        for none in ["", "about:blank", "https://", "https:///x", "https://[::1", "/local/path", "https://@/"]
        {
            check(none, None);
        }
    }
}
