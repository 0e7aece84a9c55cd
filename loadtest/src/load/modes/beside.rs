//! `rate` beside the floor: the same requests at the same rate to a bare HTTP server and to the real one in turn
//! (A B A B), each in its process on the same core, so that what the machine does besides hits both alike. What the
//! real one's answers take above the bare one's is what deciding costs on the wire.

use super::{Outcome, Plan, check, middle};
use crate::load::driver::Driver;
use crate::load::report::figures::{Figures, rounded};
use crate::load::report::live::Live;
use crate::load::runner::{Runner, Sampling, Stretch};
use crate::load::site::Site;
use crate::load::traffic::Traffic;
use anyhow::{Context, ensure};
use serde_json::json;

/// How far the real server's p99 may lie above the bare one's.
const P99_ABOVE_US: f64 = 300.0;

pub(super) async fn run(runner: &mut Runner<'_>, plan: &Plan<'_>, pairs: u32) -> anyhow::Result<Outcome> {
    let rate = plan.args.load.rate;
    let probe = runner.stretch("probe", plan.at_rate(rate, plan.seed), Sampling::USUAL).await?;
    let answers = probe.measured.answers();
    ensure!(answers > 0, "the server answered nothing, so nobody knows what the bare one should answer");
    let bytes = probe.measured.answer_bytes.div_ceil(answers);
    let site = Site::bare(bytes, runner.site()).await?;
    let options = crate::load::options(plan.args, &site);
    let traffic = Traffic::new(plan.path, plan.bodies, plan.run.wrapping_add(1))?;
    let bare_driver = Driver::new(options, traffic, None)?;
    let mut bare = Runner::new(bare_driver, site, Live::new(plan.args.report.quiet));

    let (mut floors, mut servers) = (Vec::new(), Vec::new());
    for pair in 1..=pairs {
        let seed = plan.seed.wrapping_add(u64::from(pair));
        let name = |who: &str| format!("{who}, pair {pair} of {pairs}");
        floors.push(bare.stretch(&name("bare server"), plan.at_rate(rate, seed), Sampling::USUAL).await?);
        servers.push(runner.stretch(&name("real server"), plan.at_rate(rate, seed), Sampling::USUAL).await?);
    }
    let of_pairs = |of: &dyn Fn(&Stretch, &Stretch) -> f64| {
        floors.iter().zip(&servers).map(|(floor, server)| of(floor, server)).collect::<Vec<_>>()
    };
    let above = of_pairs(&|floor, server| server.measured.latency_us(0.99) - floor.measured.latency_us(0.99));
    let cpu = |stretch: &Stretch| {
        stretch.used.server_ns.unwrap_or(0) as f64 / stretch.measured.answers().max(1) as f64
    };
    let ratios = of_pairs(&|floor, server| cpu(server) / cpu(floor).max(1.0));
    let (above_us, ratio) = (middle(above.clone()), middle(ratios.clone()));
    let invalid: Vec<String> = floors
        .iter()
        .flat_map(|floor| floor.faults(plan.limits()))
        .map(|fault| format!("beside the bare server: {fault}"))
        .collect();
    let floor = Stretch::sum(floors).context("no pair was run")?;
    let mut outcome = plan.outcome(Stretch::sum(servers).context("no pair was run")?);
    outcome.invalid.extend(invalid);
    let spread = format!("{:.0} to {:.0} µs over {pairs} pairs", least(&above), most(&above));
    outcome.checks.insert(
        0,
        check(
            format!("p99 < the bare server's + {P99_ABOVE_US:.0} µs"),
            above_us < P99_ABOVE_US,
            format!("{above_us:+.0} µs ({spread})"),
        ),
    );
    outcome.notes.push(format!(
        "p99 above a bare server's: {above_us:+.0} µs ({spread}); CPU ratio {ratio:.3} ({:.3} to {:.3})",
        least(&ratios),
        most(&ratios)
    ));
    outcome.extra.insert(
        "beside_floor".to_owned(),
        json!({"pairs": pairs, "answer_bytes": bytes,
            "p99_above_us": rounded(above_us), "p99_above_us_min": rounded(least(&above)),
            "p99_above_us_max": rounded(most(&above)), "cpu_ratio": rounded(ratio),
            "cpu_ratio_min": rounded(least(&ratios)), "cpu_ratio_max": rounded(most(&ratios))}),
    );
    outcome.parts.push(("bare server".to_owned(), Figures::new(&floor)));
    Ok(outcome)
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
