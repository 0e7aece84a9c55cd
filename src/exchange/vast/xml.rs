//! XML as a template: elements whose text and attributes are escaped here, and macros in their places.
//!
//! Invariant: what is written is well-formed whatever the texts are, and no text is in a CDATA section, which any text
//! with `]]>` would leave.

use super::super::macros::{MacroError, compile_url, encode, finish};
use crate::model::creative::{Encoding, Macro, Template, TemplatePart};

/// A document that is being written.
#[derive(Debug, Default)]
pub(super) struct Xml {
    parts: Vec<TemplatePart>,
    literal: String,
}

/// Names and texts of attributes.
pub(super) type Attributes<'a> = &'a [(&'static str, String)];

impl Xml {
    /// The first line, which says that the document is UTF-8.
    pub(super) fn document() -> Xml {
        Xml { parts: Vec::new(), literal: r#"<?xml version="1.0" encoding="UTF-8"?>"#.to_owned() }
    }

    /// Begins an element.
    pub(super) fn open(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.literal.push('<');
        self.literal.push_str(name);
        for (key, value) in attributes {
            self.literal.push(' ');
            self.literal.push_str(key);
            self.literal.push_str("=\"");
            self.escaped(value);
            self.literal.push('"');
        }
        self.literal.push('>');
    }

    /// Ends an element.
    pub(super) fn close(&mut self, name: &'static str) {
        self.literal.push_str("</");
        self.literal.push_str(name);
        self.literal.push('>');
    }

    /// An element of text.
    pub(super) fn text(&mut self, name: &'static str, attributes: Attributes<'_>, text: &str) {
        self.open(name, attributes);
        self.escaped(text);
        self.close(name);
    }

    /// An element of a URL that the author wrote, perhaps with macros.
    pub(super) fn url(
        &mut self,
        name: &'static str,
        attributes: Attributes<'_>,
        url: &str,
    ) -> Result<(), MacroError> {
        self.open(name, attributes);
        self.flush();
        self.parts.extend(compile_url(url)?);
        self.close(name);
        Ok(())
    }

    /// An element of a value that is known at the bid.
    pub(super) fn value(&mut self, name: &'static str, attributes: Attributes<'_>, value: Macro) {
        self.open(name, attributes);
        self.flush();
        self.parts.push(TemplatePart::Macro(value, Encoding::HtmlAttribute));
        self.close(name);
    }

    /// The whole document.
    pub(super) fn finish(mut self) -> Template {
        self.flush();
        finish(self.parts)
    }

    fn escaped(&mut self, text: &str) {
        let mut xml = Vec::new();
        encode(Encoding::HtmlAttribute, text, &mut xml);
        self.literal.push_str(std::str::from_utf8(&xml).expect("encoders write ASCII"));
    }

    fn flush(&mut self) {
        self.parts.push(TemplatePart::Literal(std::mem::take(&mut self.literal)));
    }
}
