//! Measuring the same thing on both sides, and the report of it.

use std::io::{self, Write};

use serde::Serialize;

use super::side::Side;
use crate::bench::{
    load::median,
    report::{Floor, number, rounded},
};

/// One number that one run of a workload gave.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// What was measured.
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What ours may be of the official number at most; none for numbers that explain others.
    pub(crate) goal: Option<f64>,
}

/// All numbers of one workload.
#[derive(Debug, Default)]
pub(crate) struct Duel {
    /// By what was measured, in the order in which it was first.
    metrics: Vec<Metric>,
}

#[derive(Debug)]
struct Metric {
    of: Taken,
    /// By block, and in it by side.
    blocks: Vec<[Vec<f64>; 2]>,
}

impl Duel {
    /// Adds what `side` took in `block`, counted from 0.
    pub(crate) fn add(&mut self, block: usize, side: Side, all: Vec<Taken>) {
        for taken in all {
            let known = self
                .metrics
                .iter()
                .position(|metric| metric.of.what == taken.what);
            let at = known.unwrap_or_else(|| {
                self.metrics.push(Metric {
                    of: taken.clone(),
                    blocks: Vec::new(),
                });
                self.metrics.len() - 1
            });
            let blocks = &mut self.metrics[at].blocks;
            if blocks.len() <= block {
                blocks.resize_with(block + 1, Default::default);
            }
            blocks[block][side as usize].push(taken.value);
        }
    }

    /// The medians: of the numbers, and of the blocks' ratios.
    pub(crate) fn report(self, id: &'static str, report: &mut Report) {
        for metric in self.metrics {
            let all = |side: Side| -> Vec<f64> {
                let blocks = metric.blocks.iter();
                blocks
                    .flat_map(|block| block[side as usize].clone())
                    .collect()
            };
            let (ours, official) = (all(Side::Ours), all(Side::Official));
            let ratios: Vec<f64> = metric.blocks.iter().filter_map(ratio).collect();
            let ratio = (!ratios.is_empty()).then(|| rounded(median(ratios)));
            let bound = metric.of.goal.filter(|_| ratio.is_some());
            report.results.push(Compared {
                id,
                metric: metric.of.what,
                ours: rounded(median(ours)),
                official: (!official.is_empty()).then(|| rounded(median(official))),
                unit: metric.of.unit,
                ratio,
                goal: bound,
                ok: bound.is_none_or(|goal| ratio.is_some_and(|ratio| ratio <= goal)),
                floor: None,
                failed: false,
            });
        }
    }
}

/// Ours by official, of the means of one block.
fn ratio([ours, official]: &[Vec<f64>; 2]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let ratio = mean(ours) / mean(official);
    ratio.is_finite().then_some(ratio)
}

/// The whole outcome of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// What the machine can do at most.
    pub(crate) floor: Floor,
    pub(crate) results: Vec<Compared>,
}

/// One line of the report.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    pub(crate) id: &'static str,
    pub(crate) metric: String,
    /// Median over all runs.
    pub(crate) ours: f64,
    pub(crate) official: Option<f64>,
    pub(crate) unit: &'static str,
    /// Ours by official: the median over the blocks.
    pub(crate) ratio: Option<f64>,
    /// What the ratio may be at most; without a ratio, what our number may be.
    pub(crate) goal: Option<f64>,
    pub(crate) ok: bool,
    /// What the cryptography alone takes, by itself and in memory, in the same unit.
    pub(crate) floor: Option<f64>,
    /// Whether the workload could not be finished or an answer was wrong.
    #[serde(skip)]
    pub(crate) failed: bool,
}

impl Report {
    /// Adds a number of ours that should not exceed `goal`.
    pub(crate) fn at_most(
        &mut self,
        id: &'static str,
        metric: &str,
        ours: f64,
        unit: &'static str,
        goal: f64,
    ) {
        self.results.push(Compared {
            id,
            metric: metric.to_owned(),
            ours: rounded(ours),
            official: None,
            unit,
            ratio: None,
            goal: Some(goal),
            ok: ours <= goal,
            floor: None,
            failed: false,
        });
    }

    /// Adds that a workload could not be finished or got a wrong answer.
    pub(crate) fn failed(&mut self, id: &'static str, cause: &anyhow::Error) {
        self.results.push(Compared {
            id,
            metric: format!("failed: {cause:#}"),
            ours: 0.0,
            official: None,
            unit: "",
            ratio: None,
            goal: None,
            ok: false,
            floor: None,
            failed: true,
        });
    }

    /// Says what the cryptography of `metric` takes alone.
    pub(crate) fn set_floor(&mut self, id: &str, metric: &str, floor: f64) {
        let mut results = self.results.iter_mut();
        if let Some(found) = results.find(|one| one.id == id && one.metric == metric) {
            found.floor = Some(rounded(floor));
        }
    }

    /// Whether some workload failed.
    pub(crate) fn wrong(&self) -> bool {
        self.results.iter().any(|result| result.failed)
    }

    /// Whether every goal was kept and nothing failed.
    pub(crate) fn good(&self) -> bool {
        self.results.iter().all(|result| result.ok)
    }

    /// Writes the JSON form, on one line.
    pub(crate) fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    /// Writes a table in Markdown, which is one for people too.
    pub(crate) fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let floor = &self.floor;
        writeln!(
            out,
            "{} processors, load {:.2} before; durable append {} ms, gRPC echo {} ms\n",
            floor.cpus,
            floor.load_before,
            number(floor.fdatasync_p50_ms),
            number(floor.echo_p50_ms),
        )?;
        let heads = [
            "id", "workload", "ours", "official", "unit", "ratio", "goal", "", "floor", "× floor",
        ];
        let mut rows = vec![heads.map(str::to_owned)];
        rows.extend(self.results.iter().map(Compared::row));
        let mut widths = [1; 10];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for (index, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| {
                if column < 2 || column == 4 {
                    format!(" {cell:width$} ")
                } else {
                    format!(" {cell:>width$} ")
                }
            });
            writeln!(out, "|{}|", cells.collect::<Vec<_>>().join("|"))?;
            if index == 0 {
                let rules = widths.iter().enumerate().map(|(column, width)| {
                    let last = if column < 2 || column == 4 { '-' } else { ':' };
                    format!("{}{last}", "-".repeat(width + 1))
                });
                writeln!(out, "|{}|", rules.collect::<Vec<_>>().join("|"))?;
            }
        }
        Ok(())
    }
}

impl Compared {
    fn row(&self) -> [String; 10] {
        let shown = |value: Option<f64>| value.map(number).unwrap_or_default();
        let mark = match (self.ok, self.goal) {
            (true, Some(_)) => "✔",
            (true, None) => "",
            (false, _) => "✘",
        };
        let ours = (!self.failed).then_some(self.ours);
        [
            self.id.to_owned(),
            self.metric.clone(),
            shown(ours),
            shown(self.official),
            self.unit.to_owned(),
            shown(self.ratio),
            self.goal
                .map(|goal| format!("≤ {}", number(goal)))
                .unwrap_or_default(),
            mark.to_owned(),
            shown(self.floor),
            shown(self.floor.map(|floor| self.ours / floor)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(value: f64) -> Vec<Taken> {
        vec![Taken {
            what: "send".to_owned(),
            value,
            unit: "ms",
            goal: Some(0.5),
        }]
    }

    fn report() -> Report {
        let mut duel = Duel::default();
        for (block, side, value) in [
            (0, Side::Ours, 1.0),
            (0, Side::Official, 10.0),
            (0, Side::Official, 6.0),
            (0, Side::Ours, 3.0),
            (1, Side::Ours, 90.0),
            (1, Side::Official, 100.0),
            (2, Side::Ours, 4.0),
            (2, Side::Official, 10.0),
        ] {
            duel.add(block, side, taken(value));
        }
        let mut report = Report::default();
        duel.report("C4", &mut report);
        report
    }

    #[test]
    fn the_ratio_is_the_median_of_the_blocks_so_one_disturbed_block_does_not_count() {
        let report = report();
        let [line] = &report.results[..] else {
            panic!("one line is expected: {report:?}");
        };
        assert_eq!(line.ratio, Some(0.4));
        assert!(line.ok);
    }

    #[test]
    fn without_an_official_side_there_is_no_ratio_and_no_goal() {
        let mut duel = Duel::default();
        duel.add(0, Side::Ours, taken(2.0));
        let mut report = Report::default();
        duel.report("C4", &mut report);
        let line = &report.results[0];
        assert_eq!((line.ratio, line.goal, line.ok), (None, None, true));
    }

    #[test]
    fn the_table_shows_goals_and_floors() {
        let mut report = report();
        report.set_floor("C4", "send", 0.5);
        report.at_most("start", "list", 16.0, "ms", 15.0);
        let mut table = Vec::new();
        report.write_table(&mut table).unwrap();
        let table = String::from_utf8(table).unwrap();
        let lines: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            lines[2],
            "| C4    | send     |  3.5 |       10 | ms   |   0.4 | ≤ 0.5 | ✔ |   0.5 |       7 |"
        );
        assert!(lines[3].contains("✘"), "{table}");
        assert!(!report.good());
        assert!(!report.wrong());
    }
}
