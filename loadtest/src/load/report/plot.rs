//! Plots as SVG text, drawn without a library: lines over time, and the percentile curve with as much room for the last
//! thousandth as for the first nine tenths.

use super::junit::escaped;
use hdrhistogram::Histogram;
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
/// Left, right, top, bottom.
const MARGIN: [f64; 4] = [64.0, 12.0, 12.0, 34.0];
/// More points than the plot has pixels say nothing more.
const MOST_POINTS: usize = 1_000;

/// A named line.
pub(super) struct Line<'l> {
    pub(super) name: &'l str,
    pub(super) colour: &'l str,
    pub(super) points: Vec<(f64, f64)>,
}

/// How an axis maps values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// From 0.
    Linear,
    /// By powers of ten.
    Logarithmic,
}

/// What is drawn.
pub(super) struct Plot<'p> {
    pub(super) title: &'p str,
    pub(super) x_name: &'p str,
    /// Marks of the x axis; none = round numbers.
    pub(super) x_marks: Vec<(f64, String)>,
    pub(super) y_scale: Scale,
    pub(super) y_unit: &'p str,
    pub(super) lines: Vec<Line<'p>>,
}

/// Points of the percentile curve: nines (1 = 90 %, 2 = 99 %), and the latencies from intended and actual send in µs.
pub(super) fn percentiles(intended: &Histogram<u64>, sent: &Histogram<u64>) -> Vec<(f64, f64, f64)> {
    let most = (intended.len().max(10) as f64).log10().min(6.0);
    let steps = 120;
    let point = |step: i32| {
        let nines = most * f64::from(step) / f64::from(steps);
        let quantile = 1.0 - 10f64.powf(-nines);
        let of = |histogram: &Histogram<u64>| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        (nines, of(intended), of(sent))
    };
    (0..=steps).map(point).collect()
}

impl Plot<'_> {
    /// The SVG element, which needs nothing from outside.
    pub(super) fn svg(&self) -> String {
        let mut out = String::new();
        // Writing into a string does not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x_range = range(points().map(|point| point.0));
        let y_range = match self.y_scale {
            Scale::Linear => (0.0, points().map(|point| point.1).fold(0.0, f64::max).max(1e-9) * 1.05),
            Scale::Logarithmic => {
                let (low, high) = range(points().map(|point| point.1).filter(|value| *value > 0.0));
                (low.max(1e-3).log10().floor(), high.max(1e-3).log10().ceil())
            }
        };
        let [left, right, top, bottom] = MARGIN;
        let x = |value: f64| left + (value - x_range.0) / span(x_range) * (WIDTH - left - right);
        let y = |value: f64| {
            let value = if self.y_scale == Scale::Logarithmic { value.max(1e-3).log10() } else { value };
            HEIGHT - bottom - (value - y_range.0) / span(y_range) * (HEIGHT - top - bottom)
        };
        writeln!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escaped(self.title)
        )?;
        for (value, label) in self.y_marks(y_range) {
            let at = y(value);
            writeln!(
                out,
                "<line class=\"grid\" x1=\"{left}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - right,
                left - 6.0,
                at + 4.0,
                escaped(&label)
            )?;
        }
        let x_marks = if self.x_marks.is_empty() { round_marks(x_range) } else { self.x_marks.clone() };
        for (value, label) in x_marks.iter().filter(|mark| (x_range.0..=x_range.1).contains(&mark.0)) {
            let at = x(*value);
            writeln!(
                out,
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{:.1}\"/><text class=\"x\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
                HEIGHT - bottom,
                HEIGHT - bottom + 15.0,
                escaped(label)
            )?;
        }
        writeln!(
            out,
            "<text class=\"x\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            (WIDTH + left) / 2.0,
            HEIGHT - 3.0,
            escaped(self.x_name)
        )?;
        for line in &self.lines {
            let points: Vec<String> =
                thinned(&line.points).map(|(px, py)| format!("{:.1},{:.1}", x(px), y(py))).collect();
            writeln!(
                out,
                "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" points=\"{}\"><title>{}</title></polyline>",
                line.colour,
                points.join(" "),
                escaped(line.name)
            )?;
        }
        writeln!(out, "</svg>")?;
        write!(out, "<p class=\"legend\">")?;
        for line in &self.lines {
            write!(out, "<span style=\"color:{}\">■</span> {} ", line.colour, escaped(line.name))?;
        }
        writeln!(out, "</p>")
    }

    fn y_marks(&self, range: (f64, f64)) -> Vec<(f64, String)> {
        match self.y_scale {
            Scale::Linear => {
                let marks = round_marks(range).into_iter();
                marks.map(|(value, label)| (value, format!("{label}{}", self.y_unit))).collect()
            }
            Scale::Logarithmic => {
                let powers = range.0 as i32..=range.1 as i32;
                let mark = |power: i32| {
                    let value = 10f64.powi(power);
                    (value, crate::load::slo::show_us(value).replace(".0 ", " ").replace(".00 ", " "))
                };
                powers.map(mark).collect()
            }
        }
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// Never 0.
fn span(range: (f64, f64)) -> f64 {
    (range.1 - range.0).max(1e-9)
}

/// About five marks at 1, 2 or 5 times a power of ten.
fn round_marks(range: (f64, f64)) -> Vec<(f64, String)> {
    let raw = span(range) / 5.0;
    let power = 10f64.powf(raw.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|by| by * power).find(|step| *step >= raw).unwrap_or(power);
    let first = (range.0 / step).ceil() as i64;
    let last = (range.1 / step).floor() as i64;
    let decimals = if step < 1.0 { (-step.log10().floor()) as usize } else { 0 };
    (first..=last.min(first + 20))
        .map(|at| (at as f64 * step, format!("{:.decimals$}", at as f64 * step)))
        .collect()
}

/// No more than [`MOST_POINTS`]; of those that fall together the highest, since a spike must not be thinned away.
fn thinned(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> + '_ {
    let size = points.len().div_ceil(MOST_POINTS).max(1);
    points.chunks(size).filter_map(|chunk| chunk.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        let check = |range, expected: &[&str]| {
            let labels: Vec<String> = round_marks(range).into_iter().map(|mark| mark.1).collect();
            assert_eq!(labels, expected);
        };
        check((0.0, 10.0), &["0", "2", "4", "6", "8", "10"]);
        check((3.0, 17.0), &["5", "10", "15"]);
        check((0.0, 0.9), &["0.0", "0.2", "0.4", "0.6", "0.8"]);
        assert!(round_marks((0.0, 0.0)).len() <= 22);
    }

    #[test]
    fn a_spike_survives_thinning() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|at| (f64::from(at), 1.0)).collect();
        points[7_777].1 = 99.0;
        let thin: Vec<(f64, f64)> = thinned(&points).collect();
        assert!(thin.len() <= MOST_POINTS && thin.contains(&(7_777.0, 99.0)));
    }

    #[test]
    fn an_empty_plot_and_a_constant_one_are_drawn() {
        for points in [vec![], vec![(1.0, 5.0), (2.0, 5.0)]] {
            for y_scale in [Scale::Linear, Scale::Logarithmic] {
                let lines = vec![Line { name: "a < b", colour: "#000", points: points.clone() }];
                let plot = Plot { title: "t", x_name: "x", x_marks: vec![], y_scale, y_unit: "", lines };
                let svg = plot.svg();
                assert!(svg.contains("a &lt; b") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }
}
