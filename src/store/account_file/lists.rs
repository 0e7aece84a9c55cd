//! Lists, deals and conversions: JSON ↔ model.

use super::dump::{name_of, quoted, status};
use super::known::{Known, Uniques, reference};
use super::report::{Code, Report};
use super::targeting::value;
use super::values::Named;
use super::wire::{ConversionWire, DealWire, ListWire};
use crate::model::ids::{AdvertiserId, ConversionId, DealId, ExchangeId, ListId};
use crate::model::list::{Conversion, Counting, Deal, List, ListKind};
use std::sync::Arc;

/// Values that one list may have.
pub const MAX_ITEMS: usize = 1_000_000;

/// Longest time after an ad at which a conversion is still its own: 90 days.
pub(super) const MAX_WINDOW_H: i64 = 90 * 24;
/// The usual ones: 30 days after a click, one day after a view.
pub(super) const CLICK_WINDOW_H: u32 = 30 * 24;
pub(super) const VIEW_WINDOW_H: u32 = 24;

/// Reads all lists.
pub(super) fn lists(report: &mut Report, known: &mut Known, wires: Vec<ListWire>) -> Vec<Arc<List>> {
    let mut uniques = Uniques::new("lists");
    report.each("lists", wires.into_iter().enumerate(), |report, (index, wire)| {
        let id = report.id("id", wire.id.as_ref(), u32::MAX);
        uniques.id(report, id, index);
        let name = report.name("name", wire.name).unwrap_or_default();
        uniques.name(report, name.clone(), index);
        let kind = report.required("type", wire.r#type);
        let kind = kind.and_then(|kind| report.named("type", Some(&kind)));
        let id = ListId(id.unwrap_or_default());
        let kind: ListKind = kind.unwrap_or(ListKind::Domain);
        if wire.items.len() > MAX_ITEMS {
            let message = format!("has {} values; at most {MAX_ITEMS} fit on one list", wire.items.len());
            report.error_at("items", Code::OutOfRange, message);
        }
        let values = report.list("items", wire.items, |report, text| value(report, kind, text));
        let list = Arc::new(List { id, name, kind, exchange: None, values: in_order(values) });
        known.lists.insert(id, Arc::clone(&list));
        list
    })
}

/// Ascending, each once.
pub(super) fn in_order(mut values: Vec<String>) -> Vec<String> {
    values.sort_unstable();
    values.dedup();
    values
}

/// The kind of list that documents call by this name.
pub fn list_kind(name: &str) -> Option<ListKind> {
    ListKind::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// A value of a list as it is compared.
///
/// # Errors
/// What is wrong with it and what to give.
pub fn list_value(kind: ListKind, text: &str) -> Result<String, String> {
    let mut report = Report::default();
    let value = value(&mut report, kind, text.to_owned());
    match (report.errors.pop(), value) {
        (None, Some(value)) => Ok(value),
        (Some(error), _) => Err(error.message),
        (None, None) => Err("cannot be read".to_owned()),
    }
}

/// Reads all deals.
pub(super) fn deals(report: &mut Report, known: &mut Known, wires: Vec<DealWire>) -> Vec<Deal> {
    let mut uniques = Uniques::new("deals");
    report.each("deals", wires.into_iter().enumerate(), |report, (index, wire)| {
        let id = report.id("id", wire.id.as_ref(), u32::MAX);
        uniques.id(report, id, index);
        let exchange = report.required("exchange", wire.exchange);
        let exchange: Option<ExchangeId> =
            exchange.and_then(|name| report.within("exchange", |report| known.exchange(report, &name)));
        let text = report.required("deal_id", wire.deal_id);
        let text =
            text.and_then(|text| report.within("deal_id", |report| value(report, ListKind::Deal, text)));
        if let (Some(exchange), Some(text)) = (exchange, &text) {
            uniques.key(report, "deal_id", (exchange, text.clone()), index);
        }
        let deal = Deal {
            id: DealId(id.unwrap_or_default()),
            name: report.name("name", wire.name).unwrap_or_default(),
            exchange: exchange.unwrap_or_default(),
            deal: text.unwrap_or_default(),
            price: report.price("price", wire.price.as_ref()),
            guaranteed: wire.guaranteed.unwrap_or(false),
            active: report.status(wire.status.as_deref()),
        };
        known.deals.insert(deal.id, deal.as_list());
        deal
    })
}

/// Reads all conversions.
pub(super) fn conversions(
    report: &mut Report,
    known: &mut Known,
    wires: Vec<ConversionWire>,
) -> Vec<Conversion> {
    let mut uniques = Uniques::new("conversions");
    report.each("conversions", wires.into_iter().enumerate(), |report, (index, wire)| {
        let id = report.id("id", wire.id.as_ref(), u32::MAX);
        uniques.id(report, id, index);
        let owner =
            reference(report, "advertiser", wire.advertiser.as_ref(), &known.advertisers, AdvertiserId);
        let owner = owner.map(|(id, _)| id);
        let name = report.name("name", wire.name).unwrap_or_default();
        uniques.name(report, (owner, name.clone()), index);
        let id = ConversionId(id.unwrap_or_default());
        known.conversions.insert(id, owner);
        let click_window_h = report.whole("click_window_h", wire.click_window_h, 1..=MAX_WINDOW_H);
        let view_window_h = report.whole("view_window_h", wire.view_window_h, 0..=MAX_WINDOW_H);
        Conversion {
            id,
            advertiser: owner.unwrap_or_default(),
            name,
            click_window_h: click_window_h.unwrap_or(CLICK_WINDOW_H),
            view_window_h: view_window_h.unwrap_or(VIEW_WINDOW_H),
            counting: report.named("counting", wire.counting.as_deref()).unwrap_or(Counting::Every),
            value: report.amount("value", wire.value.as_ref()),
            active: report.status(wire.status.as_deref()),
        }
    })
}

/// A list for a file.
pub(super) fn write_list(list: &List) -> ListWire {
    ListWire {
        id: quoted(list.id),
        name: Some(list.name.clone()),
        r#type: Some(name_of(list.kind)),
        items: list.values.clone(),
    }
}

/// A deal for a file; `exchange` is the name of its exchange.
pub(super) fn write_deal(deal: &Deal, exchange: String) -> DealWire {
    DealWire {
        id: quoted(deal.id),
        name: Some(deal.name.clone()),
        status: status(deal.active),
        exchange: Some(exchange),
        deal_id: Some(deal.deal.clone()),
        price: deal.price.and_then(quoted),
        guaranteed: Some(deal.guaranteed),
    }
}

/// A conversion for a file.
pub(super) fn write_conversion(conversion: &Conversion) -> ConversionWire {
    ConversionWire {
        id: quoted(conversion.id),
        advertiser: quoted(conversion.advertiser),
        name: Some(conversion.name.clone()),
        status: status(conversion.active),
        click_window_h: Some(conversion.click_window_h.into()),
        view_window_h: Some(conversion.view_window_h.into()),
        counting: Some(name_of(conversion.counting)),
        value: conversion.value.and_then(quoted),
    }
}
