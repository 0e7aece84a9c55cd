//! What an answer's `adm` is rendered from, by medium: HTML, VAST, native.

use super::macros::{self, MacroError};
use super::vast;
use crate::model::creative::{CompiledMarkup, Content, Creative};

/// Compiles a creative's content, or says what is wrong with it. For the time when a catalog is compiled.
pub fn compile(creative: &Creative) -> Result<CompiledMarkup, String> {
    by_medium(creative).map_err(|problem| problem.to_string())
}

fn by_medium(creative: &Creative) -> Result<CompiledMarkup, MacroError> {
    Ok(match &creative.content {
        Content::Banner(banner) => CompiledMarkup::Html(macros::compile(&banner.markup)?),
        Content::Video(ad) => CompiledMarkup::Vast(vast::compile(creative, ad, false)?),
        Content::Audio(ad) => CompiledMarkup::Vast(vast::compile(creative, ad, true)?),
        Content::Native(native) => {
            let video = native.video.as_ref().map(|ad| vast::compile(creative, ad, false));
            CompiledMarkup::Native(video.transpose()?.unwrap_or_default())
        }
    })
}
