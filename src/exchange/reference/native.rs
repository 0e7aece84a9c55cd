//! The native request, as an object or as JSON in a string.

use super::{Node, Oracle, ParseError};
use crate::model::media::{EventTracker, Native, NativeAsset, NativeAssetKind};

impl<'a> Oracle<'a> {
    pub(super) fn native(&self, node: &Node) -> Result<Option<Native<'a>>, ParseError> {
        let Node::Object(_) = node else { return Ok(None) };
        let first = node.read("request", |n| self.embedded(n))?;
        let second = node.read("request_native", |n| self.embedded(n))?;
        let ver = node.read("ver", |n| self.text(n))?;
        let (api, battr) = (node.read("api", |n| self.ints(n))?, node.read("battr", |n| self.rule_ints(n))?);
        let Some(mut native) = first.or(second) else { return Ok(None) };
        native.ver = native.ver.or(ver);
        (native.api, native.battr) = (api, battr);
        Ok(Some(native))
    }

    /// The request behind a value; a text is parsed first, and what is wrong with it as JSON harms nothing else.
    fn embedded(&self, node: &Node) -> Result<Option<Native<'a>>, ParseError> {
        if let Node::Object(_) = node {
            return self.native_request(node);
        }
        let text = self.text_up_to(node, self.limits.native_request)?.unwrap_or_default();
        Node::parse(text.as_bytes(), &self.limits).map_or(Ok(None), |tree| self.native_request(&tree))
    }

    fn native_request(&self, node: &Node) -> Result<Option<Native<'a>>, ParseError> {
        let outer = self.native_fields(node)?;
        let inner = node.read("native", |n| match n {
            Node::Object(_) => self.native_fields(n).map(Some),
            _ => Ok(None),
        })?;
        let found = match inner {
            Some(fields) => Native { wrapped: true, ..fields },
            None => outer,
        };
        Ok(Some(found).filter(Native::is_answerable))
    }

    fn native_fields(&self, node: &Node) -> Result<Native<'a>, ParseError> {
        Ok(Native {
            ver: node.read("ver", |n| self.text(n))?,
            assets: node.read("assets", |n| self.assets(n))?,
            trackers: node.read("eventtrackers", |n| self.trackers(n))?,
            context: self.int_field(node, "context"),
            context_subtype: self.int_field(node, "contextsubtype"),
            placement_type: self.int_field(node, "plcmttype"),
            placement_count: self.count_field(node, "plcmtcnt").unwrap_or(1),
            privacy: self.is_set(node, "privacy"),
            ..Native::default()
        })
    }

    fn assets(&self, node: &Node) -> Result<&'a [NativeAsset<'a>], ParseError> {
        let Node::Array(entries) = node else { return Ok(&[]) };
        let mut assets = Vec::new();
        for entry in entries {
            let kind = self.asset_kind(entry)?;
            let required = self.is_set(entry, "required");
            match self.int_field(entry, "id") {
                Some(id) => assets.push(NativeAsset { id, required, kind }),
                None if required => {
                    assets.push(NativeAsset { id: 0, required, kind: NativeAssetKind::Unknown });
                }
                None => {}
            }
        }
        if entries.len() > self.limits.array {
            self.over_limit("array", self.limits.array)?;
            return Ok(&[]);
        }
        Ok(self.keep(assets))
    }

    /// The first kind of its list that can be read; all are read, for their limits.
    fn asset_kind(&self, node: &Node) -> Result<NativeAssetKind<'a>, ParseError> {
        type Kind<'a> = Result<Option<NativeAssetKind<'a>>, ParseError>;
        let title = node.read("title", |n| -> Kind<'a> {
            let Node::Object(_) = n else { return Ok(None) };
            Ok(Some(NativeAssetKind::Title { len: self.count_field(n, "len").unwrap_or(u32::MAX) }))
        })?;
        let image = node.read("img", |n| -> Kind<'a> {
            let Node::Object(_) = n else { return Ok(None) };
            Ok(Some(NativeAssetKind::Image {
                kind: self.int_field(n, "type"),
                w: self.least(n, "w"),
                h: self.least(n, "h"),
                w_min: self.least(n, "wmin"),
                h_min: self.least(n, "hmin"),
                mimes: self.kept_texts(n, "mimes")?,
            }))
        })?;
        let video = node.read("video", |n| -> Kind<'a> {
            let mimes = self.kept_texts(n, "mimes")?;
            let protocols = n.read("protocols", |list| self.ints(list))?;
            if mimes.is_empty() {
                return Ok(None);
            }
            Ok(Some(NativeAssetKind::Video {
                mimes,
                min_duration_s: self.count_field(n, "minduration").unwrap_or(0),
                max_duration_s: self.count_field(n, "maxduration"),
                protocols,
            }))
        })?;
        let data = node.read("data", |n| -> Kind<'a> {
            let kind = self.int_field(n, "type");
            Ok(kind.map(|kind| NativeAssetKind::Data { kind, len: self.count_field(n, "len") }))
        })?;
        Ok([title, image, video, data].into_iter().flatten().next().unwrap_or(NativeAssetKind::Unknown))
    }

    fn trackers(&self, node: &Node) -> Result<&'a [EventTracker], ParseError> {
        let Node::Array(entries) = node else { return Ok(&[]) };
        let mut pairs = Vec::new();
        for entry in entries {
            let methods = entry.read("methods", |n| self.ints(n))?;
            let Some(event) = self.int_field(entry, "event") else { continue };
            pairs.extend(methods.iter().map(|method| EventTracker { event, method: *method }));
        }
        if entries.len() > self.limits.array {
            self.over_limit("array", self.limits.array)?;
            pairs.clear();
        }
        Ok(self.keep(pairs))
    }
}
