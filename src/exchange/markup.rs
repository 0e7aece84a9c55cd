//! What an answer's `adm` is rendered from, by medium: HTML, VAST, native.

use super::macros;
use crate::model::creative::{CompiledMarkup, Content, Creative};

/// Compiles a creative's content, or says what is wrong with it. For the time when a catalog is compiled.
pub fn compile(creative: &Creative) -> Result<CompiledMarkup, String> {
    match &creative.content {
        Content::Banner(banner) => {
            macros::compile(&banner.markup).map(CompiledMarkup::Html).map_err(|problem| problem.to_string())
        }
        Content::Video(_) | Content::Audio(_) => Ok(CompiledMarkup::Vast(Vec::new())),
        Content::Native(_) => Ok(CompiledMarkup::Native(Vec::new())),
    }
}
