//! The picture: how many times as fast as its first peer each client of ours is.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::clients::{self, Client};
use super::results::{Results, Spread};
use super::workloads::{self, Unit, Workload};

const WIDTH: u32 = 900;
const ROW: u32 = 18;
const AROUND: u32 = 90;
const COLORS: [RGBColor; 7] = [
    RGBColor(31, 119, 180),
    RGBColor(23, 190, 207),
    RGBColor(148, 103, 189),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(188, 189, 34),
    RGBColor(255, 127, 14),
];

/// As SVG.
pub(crate) fn svg(results: &Results) -> Result<String> {
    let mut text = String::new();
    draw(results, &mut text).map_err(|error| anyhow!("{error}"))?;
    Ok(text)
}

fn draw(results: &Results, text: &mut String) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let rows = rows(results);
    let most = rows.iter().map(|(_, _, ratio)| ratio.highest).fold(2.0, f64::max);
    let least = rows.iter().map(|(_, _, ratio)| ratio.lowest).fold(1.0, f64::min);
    let area = SVGBackend::with_string(text, (WIDTH, AROUND + ROW * rows.len() as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let count = rows.len() as f64;
    let mut chart = ChartBuilder::on(&area)
        .caption("natskv: times as fast as its peer (median; line: slowest and fastest round)", ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(160)
        .build_cartesian_2d((least * 0.9..most * 1.4).log_scale(), count..0.0)?;
    chart.configure_mesh().disable_y_mesh().disable_y_axis().x_label_formatter(&|x| format!("{x}")).draw()?;
    for (at, (workload, client, ratio)) in rows.iter().enumerate() {
        let (top, middle) = (at as f64 + 0.15, at as f64 + 0.5);
        let ours = clients::ALL.iter().filter(|other| other.is_ours());
        let color = COLORS[ours.into_iter().position(|other| other.name == client.name).unwrap_or(0) % COLORS.len()];
        chart.draw_series([Rectangle::new([(1.0, top), (ratio.median, at as f64 + 0.85)], color.filled())])?;
        chart.draw_series([PathElement::new([(ratio.lowest, middle), (ratio.highest, middle)], BLACK)])?;
        let label = format!("{:.1}", ratio.median);
        let end = ratio.highest.max(1.0) * 1.02;
        chart.draw_series([Text::new(label, (end, top), ("sans-serif", 12))])?;
        let (_, pixel) = chart.backend_coord(&(1.0, top));
        area.draw_text(
            &format!("{} {}", workload.name, client.name),
            &("sans-serif", 12).into_text_style(&area),
            (10, pixel),
        )?;
    }
    chart.draw_series([PathElement::new([(1.0, 0.0), (1.0, count)], BLACK)])?;
    area.present()?;
    Ok(())
}

/// What there is to compare, in the order of the tables.
fn rows(results: &Results) -> Vec<(&'static Workload, &'static Client, Spread)> {
    let timed = workloads::ALL.iter().filter(|workload| workload.unit != Unit::Memory);
    let pairs = timed.flat_map(|workload| clients::ALL.iter().map(move |client| (workload, client)));
    let compared = pairs.filter_map(|(workload, client)| {
        let ratio = results.ratio(workload.name, client.name, client.beside.first()?, |m| m.speed)?;
        Some((workload, client, ratio))
    });
    compared.collect()
}
