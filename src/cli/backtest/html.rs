//! A page with plots that needs nothing but a browser: no script, no fonts or styles from elsewhere, plots as SVG in
//! the page itself. Every text is escaped, because names may come out of a log.

use std::fmt::Write as _;

/// One line, or one cloud of dots, of a plot.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// What the legend calls it.
    pub(super) name: String,
    /// x and y, in the order in which they are joined; points that are not finite are left out.
    pub(super) points: Vec<(f64, f64)>,
    /// Dots instead of a line.
    pub(super) dots: bool,
}

/// One plot with linear axes.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    /// What it shows.
    pub(super) title: String,
    /// What x is, with its unit.
    pub(super) x_label: String,
    /// What y is, with its unit.
    pub(super) y_label: String,
    /// What is drawn, the first one undermost.
    pub(super) series: Vec<Series>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 48.0;

/// Colours that stay apart for the colour-blind, on white and on black (Okabe and Ito's set without its yellow).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem}h2{font-size:1.05rem;margin:2rem 0 .3rem}\
table{border-collapse:collapse}td{padding:.15rem 1.5rem .15rem 0;border-bottom:1px solid #8884}\
td+td{font-variant-numeric:tabular-nums;text-align:right}\
svg{width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:currentColor}\
.grid{stroke:#8884}.axis{stroke:currentColor}\
ul{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;padding:0;margin:.2rem 0}\
li i{display:inline-block;width:1.1em;height:.25em;margin-right:.4em;vertical-align:middle}\
figure{margin:0}";

/// The page: a heading, a paragraph, a table of names and values, and the plots below one another.
pub(super) fn page(title: &str, intro: &str, table: &[(String, String)], plots: &[Plot]) -> String {
    let (title, intro) = (escaped(title), escaped(intro));
    let rows: String = table
        .iter()
        .map(|(name, value)| format!("<tr><td>{}</td><td>{}</td></tr>\n", escaped(name), escaped(value)))
        .collect();
    let figures: String = plots.iter().map(figure).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p>{intro}</p>\n\
         <table>\n{rows}</table>\n{figures}</body>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// One axis: what it spans and where its ticks are.
struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis around all values, from 0 where they come near it, with about `wanted` round ticks.
    fn over(values: impl Iterator<Item = f64>, wanted: f64) -> Axis {
        let (mut low, mut high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if low > 0.0 && low < high / 2.0 {
            low = 0.0;
        }
        if high - low < f64::EPSILON * high.abs().max(1.0) {
            (low, high) = (low - 0.5, high + 0.5);
        }
        let rough = (high - low) / wanted;
        let unit = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].iter().map(|by| by * unit).find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        let count = ((high - low) / step).round() as usize;
        let ticks = (0..=count).map(|at| low + step * at as f64).collect();
        Axis { low, high, ticks }
    }

    /// Where `value` lies between `from` and `to`.
    fn at(&self, value: f64, from: f64, to: f64) -> f64 {
        from + (value - self.low) / (self.high - self.low) * (to - from)
    }

    /// A tick as text, without the noise of binary fractions.
    fn label(&self, tick: f64) -> String {
        let step = (self.high - self.low) / (self.ticks.len() - 1) as f64;
        let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        match tick.abs() {
            huge if huge >= 1e7 => format!("{tick:.1e}"),
            _ => format!("{:.decimals$}", if tick.abs() < step / 2.0 { 0.0 } else { tick }),
        }
    }
}

/// Writes into a string, which cannot fail.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {
        let _infallible = write!($out, $($text)*);
    };
}

fn figure(plot: &Plot) -> String {
    let finite = |(x, y): &&(f64, f64)| x.is_finite() && y.is_finite();
    let points = || plot.series.iter().flat_map(|series| series.points.iter().filter(finite));
    let x = Axis::over(points().map(|point| point.0), 8.0);
    let y = Axis::over(points().map(|point| point.1), 5.0);
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut svg = String::new();
    for tick in &x.ticks {
        let (at, label) = (x.at(*tick, LEFT, right), x.label(*tick));
        put!(svg, "<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/>");
        put!(svg, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", bottom + 17.0);
    }
    for tick in &y.ticks {
        let (at, label) = (y.at(*tick, bottom, TOP), y.label(*tick));
        put!(svg, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>");
        put!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 8.0, at + 4.0);
    }
    put!(svg, "<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>");
    let (middle_x, middle_y) = ((LEFT + right) / 2.0, (TOP + bottom) / 2.0);
    let (x_label, y_label) = (escaped(&plot.x_label), escaped(&plot.y_label));
    put!(svg, "<text x=\"{middle_x}\" y=\"{:.1}\" text-anchor=\"middle\">{x_label}</text>", HEIGHT - 8.0);
    put!(
        svg,
        "<text transform=\"translate(14 {middle_y}) rotate(-90)\" text-anchor=\"middle\">{y_label}</text>"
    );
    let mut legend = String::new();
    for (number, series) in plot.series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let places: Vec<(f64, f64)> = series
            .points
            .iter()
            .filter(finite)
            .map(|point| (x.at(point.0, LEFT, right), y.at(point.1, bottom, TOP)))
            .collect();
        if series.dots {
            for (cx, cy) in places {
                put!(
                    svg,
                    "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"2.5\" fill=\"{colour}\" fill-opacity=\".7\"/>"
                );
            }
        } else {
            let joined: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            put!(
                svg,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" points=\"{}\"/>",
                joined.join(" ")
            );
        }
        put!(legend, "<li><i style=\"background:{colour}\"></i>{}</li>", escaped(&series.name));
    }
    let title = escaped(&plot.title);
    format!(
        "<figure>\n<h2>{title}</h2>\n<ul>{legend}</ul>\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">{svg}</svg>\n</figure>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>, dots: bool) -> Plot {
        Plot {
            title: "<b>&".to_owned(),
            x_label: "hour".to_owned(),
            y_label: "spend".to_owned(),
            series: vec![Series { name: "a\"b".to_owned(), points, dots }],
        }
    }

    #[test]
    fn a_page_is_well_formed_and_text_stays_text() {
        let plots =
            [plot(vec![(0.0, 0.0), (10.0, 3.0), (f64::NAN, 1.0)], false), plot(vec![(1.0, 1.0)], true)];
        let row = ("value & ratio".to_owned(), "<script>".to_owned());
        let page = page("a <title>", "what's shown", &[row], &plots);
        assert!(!page.contains("<script>") && !page.contains("<b>") && !page.contains("NaN"), "{page}");
        let polyline = "points=\"74.0,292.0 744.0,14.0\"";
        assert!(page.contains(polyline), "{page}");
        assert_eq!(page.matches("<circle").count(), 1);
        // The body is XML as well, so every element is closed and every attribute quoted.
        let body = &page[page.find("<body>").unwrap()..page.find("</html>").unwrap()];
        let tree = roxmltree::Document::parse(body).unwrap();
        assert_eq!(tree.descendants().filter(|node| node.has_tag_name("svg")).count(), 2);
    }

    #[test]
    fn axes_have_round_ticks_around_their_values() {
        let axis = Axis::over([0.3, 9.7].into_iter(), 5.0);
        assert_eq!(axis.ticks, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(axis.label(2.0), "2");
        let flat = Axis::over([4.0, 4.0].into_iter(), 5.0);
        assert!(flat.low < 4.0 && flat.high > 4.0);
        assert_eq!(Axis::over(std::iter::empty(), 5.0).ticks.len(), 6);
        let small = Axis::over([0.0, 0.013].into_iter(), 5.0);
        assert_eq!(small.label(0.005), "0.005");
    }
}
