//! The creatives of the measuring world: one or more per campaign, with the markup that real tags have: a click
//! through, an image, a tracking pixel, here and there a frame.

use super::dice::Dice;
use super::facts;
use crate::model::auction::Size;
use crate::model::creative::{Approvals, BannerAd, Content, Creative};
use crate::model::ids::{AdvertiserId, CreativeId};

/// The creatives of one campaign in the sizes that its advertiser made, at least one. Ids go on from `first`.
pub(super) fn for_campaign(advertiser: AdvertiserId, first: u32, dice: &mut Dice) -> Vec<Creative> {
    let mut sizes: Vec<Size> = facts::SIZES
        .iter()
        .filter(|size| dice.chance(u64::from(size.1)))
        .map(|((w, h), _)| Size { w: *w, h: *h })
        .collect();
    if sizes.is_empty() {
        sizes.push(Size { w: facts::SIZES[0].0.0, h: facts::SIZES[0].0.1 });
    }
    let category = *dice.one_of(&facts::CATEGORIES);
    let make =
        |(n, size): (usize, Size)| creative(advertiser, CreativeId(first + n as u32), size, category, dice);
    sizes.into_iter().enumerate().map(make).collect()
}

fn creative(
    advertiser: AdvertiserId,
    id: CreativeId,
    size: Size,
    category: &str,
    dice: &mut Dice,
) -> Creative {
    let domain = facts::brand_domain(u64::from(advertiser.0));
    let framed = dice.chance(250);
    Creative {
        frequency: Default::default(),
        id,
        advertiser,
        name: format!("{domain} {size}"),
        content: Content::Banner(BannerAd {
            size,
            markup: if framed { frame_markup(&domain, id, size) } else { image_markup(&domain, id, size) },
            banner_type: if framed { 4 } else { 2 },
            expands: Vec::new(),
        }),
        click_url: format!("https://www.{domain}/offers/{id}?utm_source=outbid&utm_medium=display"),
        landing_domains: vec![domain.clone(), format!("www.{domain}")],
        adomain: vec![domain],
        categories: vec![category.to_owned()],
        cattax: 1,
        attributes: if dice.chance(50) { vec![16] } else { Vec::new() },
        api: None,
        language: dice.chance(600).then(|| "en".to_owned()),
        bundle: None,
        secure: true,
        approvals: Approvals::default(),
        transparency: None,
    }
}

fn image_markup(domain: &str, id: CreativeId, Size { w, h }: Size) -> String {
    format!(
        "<div style=\"position:relative;width:{w}px;height:{h}px;overflow:hidden\">\
         <a href=\"{{{{CLICK_URL}}}}\" target=\"_blank\" rel=\"noopener nofollow sponsored\">\
         <img src=\"https://cdn.{domain}/creatives/{id}/{w}x{h}.jpg?cb={{{{CACHEBUSTER}}}}\" width=\"{w}\" \
         height=\"{h}\" alt=\"Advertisement by {domain}\" style=\"display:block;border:0\"></a>\
         <img src=\"{{{{IMPRESSION_URL}}}}\" width=\"1\" height=\"1\" alt=\"\" \
         style=\"position:absolute;left:0;top:0;visibility:hidden\">\
         <img src=\"https://measure.{domain}/v1/imp?c={id}&amp;r={{{{CACHEBUSTER}}}}\" width=\"1\" height=\"1\" \
         alt=\"\" style=\"display:none\"></div>"
    )
}

fn frame_markup(domain: &str, id: CreativeId, Size { w, h }: Size) -> String {
    format!(
        "<iframe src=\"https://cdn.{domain}/html5/{id}/index.html?cb={{{{CACHEBUSTER}}}}\" width=\"{w}\" \
         height=\"{h}\" title=\"Advertisement by {domain}\" frameborder=\"0\" scrolling=\"no\" \
         sandbox=\"allow-scripts allow-popups\" style=\"border:0\"></iframe>\
         <a href=\"{{{{CLICK_URL}}}}\" target=\"_blank\" rel=\"noopener nofollow sponsored\" \
         style=\"position:absolute;left:0;top:0;width:{w}px;height:{h}px\" aria-label=\"Open\"></a>\
         <img src=\"{{{{IMPRESSION_URL}}}}\" width=\"1\" height=\"1\" alt=\"\" style=\"display:none\">"
    )
}
