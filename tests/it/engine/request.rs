//! Random bid requests as JSON text: they go through the parser as real ones do.

use super::world::{DEALS, Dice, SIZES, USERS};
use serde_json::{Map, Value, json};

/// One that every line item without targeting may bid on: one banner of 300 × 250, no floor, an American phone.
pub(super) fn plain(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut request = json!({
        "id": "r", "at": 1, "cur": ["USD"],
        "imp": [{"id": "1", "banner": {"format": [{"w": 300, "h": 250}]}}],
        "site": {"domain": "news.example", "page": "https://news.example/a"},
        "device": {"os": "Android", "devicetype": 4, "geo": {"country": "USA"}},
        "user": {"buyeruid": "u0"}
    });
    change(&mut request);
    request.to_string().into_bytes()
}

impl Dice {
    /// A random one; `nth` makes its id unique.
    pub(super) fn request(&mut self, nth: usize) -> Vec<u8> {
        let imps: Vec<Value> = (0..=self.up_to(2)).map(|at| self.imp(at)).collect();
        let mut request = Map::new();
        request.insert("id".into(), json!(format!("r{nth}")));
        request.insert("imp".into(), json!(imps));
        self.maybe(&mut request, "at", 2, &[json!(1), json!(2), json!(500)]);
        self.maybe(&mut request, "tmax", 2, &[json!(50), json!(120)]);
        self.maybe(&mut request, "test", 8, &[json!(1), json!(0)]);
        let codes = [json!(["USD"]), json!(["EUR", "USD"]), json!(["GBP", "JPY"]), json!(["GBP"])];
        self.maybe(&mut request, "cur", 3, &codes);
        self.maybe(&mut request, "wseat", 16, &[json!(["seat-1", "seat-2"]), json!(["seat-2", "seat-3"])]);
        self.maybe(&mut request, "bseat", 12, &[json!(["seat-1"]), json!(["x"])]);
        self.maybe(&mut request, "wlang", 8, &[json!(["en"]), json!(["de-AT", "fr"])]);
        self.maybe(&mut request, "bcat", 6, &[json!(["IAB25"]), json!(["IAB2-3"]), json!(["iab2"])]);
        self.maybe(&mut request, "acat", 20, &[json!(["IAB2"])]);
        self.maybe(&mut request, "cattax", 10, &[json!(1), json!(7)]);
        self.maybe(
            &mut request,
            "badv",
            4,
            &[json!(["Shop.example"]), json!(["a.shop.example", "x.example"])],
        );
        self.maybe(&mut request, "bapp", 6, &[json!(["com.game"])]);
        let domain = json!(self.one(&["news.example", "www.blog.example", "other.example"]));
        match self.up_to(3) {
            0 => request.insert("app".into(), json!({"bundle": "com.news", "domain": domain})),
            1 if self.chance(3) => None,
            _ => request.insert("site".into(), json!({"domain": domain})),
        };
        request.insert("device".into(), self.device());
        let user = self.one(&USERS);
        self.maybe(
            &mut request,
            "user",
            1,
            &[json!({"buyeruid": user}), json!({"buyeruid": user}), json!({})],
        );
        self.maybe(&mut request, "regs", 6, &[json!({"coppa": 1}), json!({"gdpr": 1}), json!({"gdpr": 0})]);
        Value::Object(request).to_string().into_bytes()
    }

    /// Inserts one of `values`, once in `one_in`.
    fn maybe(&mut self, object: &mut Map<String, Value>, key: &str, one_in: u32, values: &[Value]) {
        if self.chance(one_in) {
            object.insert(key.to_owned(), self.one(values));
        }
    }

    fn device(&mut self) -> Value {
        let country = self.one(&[json!("USA"), json!("USA"), json!("CAN"), json!("DEU"), Value::Null]);
        let mut device = Map::from_iter([("geo".to_owned(), json!({"country": country}))]);
        self.maybe(&mut device, "os", 2, &[json!("Android"), json!("iOS")]);
        self.maybe(&mut device, "devicetype", 2, &[json!(2), json!(4)]);
        self.maybe(&mut device, "lmt", 8, &[json!(1), json!("0")]);
        Value::Object(device)
    }

    fn imp(&mut self, at: usize) -> Value {
        let mut imp = Map::from_iter([("id".to_owned(), json!(format!("i{at}")))]);
        let mut banner = Map::new();
        let sizes = self.some(&SIZES, 3);
        let format = |size: &outbid::model::auction::Size| json!({"w": size.w, "h": size.h});
        match sizes.first() {
            Some(first) if self.chance(3) => {
                banner.insert("w".into(), json!(first.w));
                banner.insert("h".into(), json!(first.h));
            }
            _ => {
                banner.insert("format".into(), json!(sizes.iter().map(format).collect::<Vec<_>>()));
            }
        }
        self.maybe(&mut banner, "btype", 10, &[json!([3]), json!([1, 4])]);
        self.maybe(&mut banner, "battr", 8, &[json!([6]), json!([1, 13])]);
        self.maybe(&mut banner, "api", 2, &[json!([5, 7]), json!([3])]);
        self.maybe(&mut banner, "mimes", 8, &[json!(["text/html"]), json!(["image/gif"])]);
        if self.chance(12) {
            imp.insert("video".into(), json!({"mimes": ["video/mp4"]}));
        } else {
            imp.insert("banner".into(), Value::Object(banner));
        }
        self.floor(&mut imp);
        self.maybe(&mut imp, "secure", 3, &[json!(1), json!(0)]);
        self.maybe(&mut imp, "instl", 10, &[json!(1)]);
        self.maybe(&mut imp, "exp", 8, &[json!(30), json!(600), json!(100_000)]);
        let plays = [json!({"multiplier": 2.5}), json!({"multiplier": 0.3}), json!({"multiplier": 11})];
        self.maybe(&mut imp, "qty", 8, &plays);
        if !self.chance(3) {
            let deals: Vec<Value> = (0..=self.up_to(2)).map(|_| self.deal()).collect();
            let private = self.one(&[json!(0), json!(0), json!(1)]);
            imp.insert("pmp".into(), json!({"private_auction": private, "deals": deals}));
        }
        Value::Object(imp)
    }

    fn floor(&mut self, object: &mut Map<String, Value>) {
        self.maybe(object, "bidfloor", 2, &[json!(0.3), json!(1), json!(2.5), json!(2.500001), json!(0)]);
        self.maybe(object, "bidfloorcur", 4, &[json!("USD"), json!("EUR"), json!("JPY"), json!("GBP")]);
    }

    fn deal(&mut self) -> Value {
        let mut deal = Map::from_iter([("id".to_owned(), json!(self.one(&DEALS)))]);
        self.floor(&mut deal);
        self.maybe(&mut deal, "at", 2, &[json!(1), json!(3), json!(3)]);
        self.maybe(&mut deal, "wseat", 8, &[json!(["seat-1"]), json!(["other"])]);
        self.maybe(&mut deal, "wadomain", 8, &[json!(["shop.example"]), json!(["bank.example"])]);
        Value::Object(deal)
    }
}
