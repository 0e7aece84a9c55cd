//! A forecast of a server, from the samples that it keeps.

use crate::server::{Setup, good_request};
use outbid::budget::file_storage::FileStorage;
use outbid::model::account::Account;
use outbid::model::clock::Clock;
use outbid::model::ids::ExchangeId;
use outbid::model::line_item::PacingMode;
use outbid::model::mix::splitmix64;
use outbid::model::money::Nanos;
use outbid::model::no_bid::NoBidReason;
use outbid::model::sample::SampledRequest;
use outbid::samples::{Record, Samples};
use outbid::serve::forecast::{Asked, NotForecast, Told};
use outbid::telemetry::clock::SystemClock;

#[test]
fn a_server_forecasts_what_its_samples_say_of_a_line_item_that_is_off() {
    let mut account = None;
    let change = |demo: &mut Account| {
        demo.line_items[0].targeting.segments = Default::default();
        demo.line_items[0].active = false;
    };
    let setup = Setup::demo().account(|demo| {
        change(demo);
        account = Some(demo.clone());
    });
    let (server, account) = (setup.start(), account.unwrap());
    let line_item = account.line_items[0].id;
    let asked = |grid_ppm: Vec<i64>| Asked { account: account.clone(), line_item, days: 1, grid_ppm };
    let nothing = server.shared.forecast(asked(Vec::new())).unwrap();
    assert!(nothing.requests == 0 && nothing.forecast.is_none() && nothing.at_most.is_none());
    drop(server);
    let home = tempfile::tempdir().unwrap();
    let exchange = account.exchanges.iter().find(|profile| profile.name == "demo").unwrap().id;
    let body = good_request("sampled").to_string().into_bytes();
    let now_ms = SystemClock::new().now().unix_ms;
    let record = |nth: i64| Record {
        request: SampledRequest {
            // A minute less than a day, so that all of them are in it when it is asked for.
            at_ms: now_ms - 1 - nth * (86_400_000 - 60_000) / 400,
            exchange: if nth == 7 { ExchangeId(9_999) } else { exchange },
            one_in: 8,
            person: Some(splitmix64(nth as u64 / 4)),
            permissions: u16::from(u8::MAX),
            known: false,
            segments: Vec::new(),
            refused: Vec::new(),
            protobuf: false,
            body: body.clone(),
            outcome: Err(NoBidReason::NoMatch),
        },
        id: "sampled".to_owned(),
        place: None,
        number: 0,
    };
    let folder = home.path().join("samples");
    std::fs::create_dir(&folder).unwrap();
    let mut samples =
        Samples::open(Box::new(FileStorage::open(&folder).unwrap()), 1 << 30, now_ms / 1_000).unwrap();
    assert_eq!(samples.append((0..400).rev().map(record).collect()).unwrap(), 400);
    samples.sync().unwrap();
    drop(samples);
    let server = Setup::demo().home(home.path()).account(change).start();
    let ask = |grid_ppm| server.shared.forecast(asked(grid_ppm));
    let told: Told = ask(Vec::new()).unwrap();
    assert_eq!(told.requests, 399, "one is of an exchange that is gone");
    assert!(
        told.warnings.iter().any(|warning| warning.contains("exchanges that are gone")),
        "{:?}",
        told.warnings
    );
    let forecast = told.forecast.as_ref().unwrap();
    assert!((told.requests_a_day / (399.0 * 8.0) - 1.0).abs() < 0.02, "{}", told.requests_a_day);
    assert!(forecast.avails >= 0.98 * 399.0 * 8.0, "{}", forecast.avails);
    assert!((forecast.unique / 800.0 - 1.0).abs() < 0.05, "{}", forecast.unique);
    assert!(
        told.warnings.iter().any(|warning| warning.contains("little was heard of prices")),
        "{:?}",
        told.warnings
    );
    assert!(forecast.curve.len() == 13 && forecast.curve.is_sorted_by(|a, b| a.win_rate <= b.win_rate));
    assert!(told.until_ms <= SystemClock::new().now().unix_ms + 1_000);
    assert_eq!(ask(vec![500_000, 1_000_000]).unwrap().forecast.unwrap().curve.len(), 2);
    // What is left of a lifetime is for the days that are left; who spends as soon as possible may spend it in one.
    let budget = |mode| {
        let mut account = account.clone();
        let line = &mut account.line_items[0];
        line.pacing.mode = mode;
        line.budget.lifetime = Some(Nanos(10_000_000_000));
        line.flight.end_ms = Some(now_ms + 10 * 86_400_000);
        let asked = Asked { account, line_item, days: 1, grid_ppm: Vec::new() };
        server.shared.forecast(asked).unwrap().budget_nanos.unwrap()
    };
    let even = budget(PacingMode::Even);
    assert!((990_000_000..1_010_000_000).contains(&even), "{even}");
    assert_eq!(budget(PacingMode::Asap), 10_000_000_000);
    let gone = outbid::model::ids::LineItemId(4_000_000);
    let asked = Asked { account: account.clone(), line_item: gone, days: 1, grid_ppm: Vec::new() };
    assert_eq!(server.shared.forecast(asked).err(), Some(NotForecast::Gone(gone)));
}
