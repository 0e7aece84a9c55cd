//! The query string of a call: pages, filters, orders, fields. What is not understood is refused, never ignored.

use super::call::Reply;
use super::openapi;
use super::problem::Problem;
use super::shape::Shape;
use crate::store::control::{Cursor, Order, Query, SortBy, Status};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Resources of a page, where the caller names no number, and at most.
pub(super) const PAGE: usize = 50;
pub(super) const MAX_PAGE: usize = 1_000;

/// The parameters that were sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a query string. A parameter that is there twice is refused: which of them counts nobody could say.
    pub(super) fn parse(query: &str) -> Result<Parameters, Problem> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if parameters.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Problem::parameter(&name, "is there twice; give it once"));
            }
        }
        Ok(Parameters(parameters))
    }

    /// Takes one out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// A switch: `true` or `false`.
    pub(super) fn switch(&mut self, name: &str) -> Result<bool, Problem> {
        match self.take(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::parameter(name, "is true or false")),
        }
    }

    /// The address of the page of `collection` that comes after `token`, with everything else as it was asked for.
    pub(super) fn next_page(&self, collection: &str, token: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.0.iter().filter(|(name, _)| *name != "page_token"));
        format!("/v1/{collection}?{}", query.append_pair("page_token", token).finish())
    }

    /// Whether all were taken.
    pub(super) fn finish(self, known: &str) -> Result<(), Problem> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(Problem::parameter(&name, format!("is not known here; there are {known}"))),
        }
    }
}

/// What a list was asked for.
#[derive(Clone, Debug)]
pub(super) struct ListCall {
    pub(super) query: Query,
    /// Count all of them too.
    pub(super) total: bool,
    pub(super) fields: Option<Vec<String>>,
}

impl ListCall {
    /// Reads the parameters of a list of `shape`'s kind, in one tenant or, for `None`, in all.
    pub(super) fn read(
        shape: &Shape,
        account: Option<u32>,
        mut parameters: Parameters,
    ) -> Result<ListCall, Problem> {
        let (limit, after) = (page_size(&mut parameters)?, page_token(&mut parameters)?);
        let mut query = Query { account, limit, after, ..Query::of(shape.kind) };
        if let Some(sort) = parameters.take("sort") {
            query.order = order(&sort)?;
        }
        query.name = parameters.take("q");
        query.external_id = parameters.take("filter[external_id]");
        if let Some(statuses) = parameters.take("filter[status]") {
            let read = statuses.split(',').map(|text| Status::parse(text.trim()));
            query.statuses = read.collect::<Option<_>>().ok_or_else(|| {
                Problem::parameter(
                    "filter[status]",
                    "is one of draft, active, paused, archived, or several with commas",
                )
            })?;
        }
        if let Some(ids) = parameters.take("filter[id]") {
            let read = ids.split(',').map(|text| text.trim().parse().ok());
            query.ids = Some(
                read.collect::<Option<_>>()
                    .ok_or_else(|| Problem::parameter("filter[id]", "is an id, or several with commas"))?,
            );
        }
        let mut known = "page_size, page_token, sort, q, total, fields, filter[status], filter[id], \
                         filter[external_id]"
            .to_owned();
        if let Some((outside, _)) = shape.parent {
            let name = format!("filter[{outside}]");
            if let Some(parent) = parameters.take(&name) {
                let parent = parent.parse().map_err(|_| Problem::parameter(&name, "is an id"))?;
                query.parent = Some(parent);
            }
            known = format!("{known}, {name}");
        }
        let total = parameters.switch("total")?;
        let fields = fields(&mut parameters, shape.noun())?;
        parameters.finish(&known)?;
        Ok(ListCall { query, total, fields })
    }
}

/// A page of something of which there are not many, in the order of the ids.
pub(super) fn page_of(
    collection: &'static str,
    all: impl Iterator<Item = (u32, Value)>,
    mut parameters: Parameters,
) -> Result<Reply, Problem> {
    let size = page_size(&mut parameters)?;
    let after = match parameters.take("page_token") {
        None => 0,
        Some(token) => token.strip_prefix("after-").and_then(|id| id.parse().ok()).ok_or_else(|| {
            Problem::parameter("page_token", "is none that a list gave; begin again without it")
        })?,
    };
    parameters.finish("page_size, page_token")?;
    let mut rest = all.filter(|(id, _)| *id > after).peekable();
    let mut last = after;
    let items: Vec<Value> =
        rest.by_ref().take(size).inspect(|(id, _)| last = *id).map(|(_, it)| it).collect();
    let next = rest.peek().is_some().then(|| format!("after-{last}"));
    Ok(Reply::new(StatusCode::OK, json!({ (collection): items, "next_page_token": next })))
}

/// How many entries a page shall have.
pub(super) fn page_size(parameters: &mut Parameters) -> Result<usize, Problem> {
    let Some(size) = parameters.take("page_size") else { return Ok(PAGE) };
    let size = size.parse().ok().filter(|size| (1..=MAX_PAGE).contains(size));
    size.ok_or_else(|| Problem::parameter("page_size", format!("is a number from 1 to {MAX_PAGE}")))
}

/// Where the page begins.
pub(super) fn page_token(parameters: &mut Parameters) -> Result<Option<Cursor>, Problem> {
    let Some(token) = parameters.take("page_token") else { return Ok(None) };
    let message = "is none that a list gave; begin again without it";
    Cursor::decode(&token).map(Some).ok_or_else(|| Problem::parameter("page_token", message))
}

/// Cuts what a list gave, of which one more was asked for than a page has, to the page; the token of the next one, if
/// there is any.
pub(super) fn cut<T>(rows: &mut Vec<T>, size: usize, cursor: impl Fn(&T) -> Cursor) -> Option<String> {
    let more = rows.len() > size;
    rows.truncate(size);
    rows.last().filter(|_| more).map(|last| cursor(last).encode())
}

/// `?fields=id,name`, which are members of what is called `noun`.
pub(super) fn fields(parameters: &mut Parameters, noun: &str) -> Result<Option<Vec<String>>, Problem> {
    openapi::names(parameters, "fields", noun)
}

fn order(sort: &str) -> Result<Order, Problem> {
    let (descending, name) = match sort.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, sort),
    };
    let by = match name {
        "created_at" => SortBy::Created,
        "updated_at" => SortBy::Updated,
        "name" => SortBy::Name,
        "id" => SortBy::Id,
        _ => {
            let message =
                "is created_at, updated_at, name or id, with a minus before it for the last one first";
            return Err(Problem::parameter("sort", message));
        }
    };
    Ok(Order { by, descending })
}
