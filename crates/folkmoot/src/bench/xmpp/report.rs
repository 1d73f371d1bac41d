//! What came out, server by server.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde_json::{Value, json};

use super::{goal, servers::Whose, workloads::Found};
use crate::bench::{
    load::median,
    report::{number, rounded},
};

/// What our number should keep.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// At most this.
    AtMost(f64),
    /// At least so many times what that server has.
    Times(Whose, f64),
}

/// The outcome of a run.
#[derive(Debug)]
pub(super) struct Report {
    load_before: f64,
    versions: BTreeMap<&'static str, String>,
    rows: Vec<Row>,
    failures: Vec<Failed>,
}

/// One number, of each server.
#[derive(Debug)]
struct Row {
    id: &'static str,
    metric: &'static str,
    unit: &'static str,
    /// What each round gave, by server.
    taken: [Vec<f64>; Whose::ALL.len()],
}

#[derive(Debug)]
struct Failed {
    id: &'static str,
    whose: Whose,
    cause: String,
}

impl Report {
    pub(super) const fn new(load_before: f64) -> Self {
        Self {
            load_before,
            versions: BTreeMap::new(),
            rows: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Says which release of a server is measured.
    pub(super) fn server(&mut self, whose: Whose, version: &str) {
        self.versions.insert(whose.name(), version.to_owned());
    }

    /// Adds what one round of workload `id` gave. What is 0 was not to be known.
    pub(super) fn add(&mut self, id: &'static str, whose: Whose, found: Found) {
        for (metric, value, unit) in found.into_iter().filter(|(_, value, _)| *value > 0.0) {
            let known = self.rows.iter().position(|row| row.metric == metric);
            let at = known.unwrap_or_else(|| {
                self.rows.push(Row {
                    id,
                    metric,
                    unit,
                    taken: Default::default(),
                });
                self.rows.len() - 1
            });
            self.rows[at].taken[whose as usize].push(value);
        }
    }

    /// Adds that a workload could not be finished or got a wrong answer.
    pub(super) fn failed(&mut self, id: &'static str, whose: Whose, cause: &anyhow::Error) {
        self.failures.push(Failed {
            id,
            whose,
            cause: format!("{cause:#}"),
        });
    }

    /// Whether our server answered something wrongly or not at all.
    pub(super) fn wrong(&self) -> bool {
        self.failures.iter().any(|one| one.whose == Whose::Ours)
    }

    /// Whether every goal was kept.
    pub(super) fn good(&self) -> bool {
        !self.wrong() && self.rows.iter().all(|row| row.good() != Some(false))
    }

    /// Writes the JSON form, on one line.
    pub(super) fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let of = |row: &Row, whose: Whose| row.of(whose).map(rounded);
        let results: Vec<Value> = (self.rows.iter())
            .map(|row| {
                json!({
                    "id": row.id,
                    "metric": row.metric,
                    "unit": row.unit,
                    "ours": of(row, Whose::Ours),
                    "prosody": of(row, Whose::Prosody),
                    "ejabberd": of(row, Whose::Ejabberd),
                    "goal": row.goal().map(rounded),
                    "ok": row.good().unwrap_or(true),
                })
            })
            .collect();
        let failed: Vec<Value> = (self.failures.iter())
            .map(|one| json!({ "id": one.id, "server": one.whose.name(), "cause": one.cause }))
            .collect();
        let all = json!({
            "load_before": self.load_before,
            "versions": self.versions,
            "results": results,
            "failed": failed,
        });
        writeln!(out, "{all}")
    }

    /// Writes a table in Markdown, which is one for people too.
    pub(super) fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let versions = self.versions.iter();
        let versions: Vec<_> = versions
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let load = self.load_before;
        writeln!(out, "{}; load {load:.2} before\n", versions.join(", "))?;
        let heads = [
            "id", "workload", "ours", "Prosody", "ejabberd", "unit", "goal", "",
        ];
        let mut rows = vec![heads.map(str::to_owned)];
        rows.extend(self.rows.iter().map(Row::cells));
        let mut widths = [1; 8];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for (index, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| {
                if is_left(column) {
                    format!(" {cell:width$} ")
                } else {
                    format!(" {cell:>width$} ")
                }
            });
            writeln!(out, "|{}|", cells.collect::<Vec<_>>().join("|"))?;
            if index == 0 {
                let rules = widths.iter().enumerate().map(|(column, width)| {
                    let last = if is_left(column) { '-' } else { ':' };
                    format!("{}{last}", "-".repeat(width + 1))
                });
                writeln!(out, "|{}|", rules.collect::<Vec<_>>().join("|"))?;
            }
        }
        for Failed { id, whose, cause } in &self.failures {
            writeln!(out, "\n{id} failed, {}: {cause}", whose.name())?;
        }
        Ok(())
    }
}

impl Row {
    fn of(&self, whose: Whose) -> Option<f64> {
        let taken = &self.taken[whose as usize];
        (!taken.is_empty()).then(|| median(taken.clone()))
    }

    /// The bound, in the unit of the row; none when the server that it is taken from is not there.
    fn goal(&self) -> Option<f64> {
        match goal(self.metric)? {
            Goal::AtMost(most) => Some(most),
            Goal::Times(whose, times) => Some(self.of(whose)? * times),
        }
    }

    fn good(&self) -> Option<bool> {
        let (ours, bound) = (self.of(Whose::Ours)?, self.goal()?);
        Some(match goal(self.metric)? {
            Goal::AtMost(_) => ours <= bound,
            Goal::Times(..) => ours >= bound,
        })
    }

    fn cells(&self) -> [String; 8] {
        let shown = |whose| self.of(whose).map(number).unwrap_or_default();
        let sign = match goal(self.metric) {
            Some(Goal::Times(..)) => "≥",
            _ => "≤",
        };
        let goal = self.goal();
        [
            self.id.to_owned(),
            self.metric.to_owned(),
            shown(Whose::Ours),
            shown(Whose::Prosody),
            shown(Whose::Ejabberd),
            self.unit.to_owned(),
            goal.map_or_else(String::new, |goal| format!("{sign} {}", number(goal))),
            match self.good() {
                Some(true) => "✔",
                Some(false) => "✘",
                None => "",
            }
            .to_owned(),
        ]
    }
}

/// Columns of words; the others hold numbers.
const fn is_left(column: usize) -> bool {
    matches!(column, 0 | 1 | 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new(0.5);
        report.server(Whose::Ours, "0.1.0");
        for (ours, ejabberd) in [
            (70_000.0, 10_000.0),
            (30_000.0, 11_000.0),
            (40_000.0, 12_000.0),
        ] {
            report.add("X1", Whose::Ours, vec![("messages", ours, "msg/s")]);
            report.add("X1", Whose::Ejabberd, vec![("messages", ejabberd, "msg/s")]);
        }
        report.add("X6", Whose::Ours, vec![("latency, p99", 1.25, "ms")]);
        report
    }

    #[test]
    fn goals_are_bounds_or_follow_another_server() {
        let report = report();
        assert_eq!(report.rows[0].goal(), Some(33_000.0));
        assert_eq!(report.rows[0].good(), Some(true));
        assert_eq!(report.rows[1].good(), Some(false));
        assert!(!report.good());
        assert!(!report.wrong());
    }

    #[test]
    fn the_table_shows_medians_goals_and_failures() {
        let mut report = report();
        report.failed("X4", Whose::Prosody, &anyhow::anyhow!("the room is locked"));
        let mut table = Vec::new();
        report.write_table(&mut table).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert_eq!(
            table,
            "ours 0.1.0; load 0.50 before\n\
             \n\
             | id | workload     |   ours | Prosody | ejabberd | unit  |     goal |   |\n\
             |----|--------------|-------:|--------:|---------:|-------|---------:|--:|\n\
             | X1 | messages     | 40 000 |         |   11 000 | msg/s | ≥ 33 000 | ✔ |\n\
             | X6 | latency, p99 |   1.25 |         |          | ms    |      ≤ 1 | ✘ |\n\
             \n\
             X4 failed, Prosody: the room is locked\n"
        );
        assert!(!report.wrong(), "that a peer fails is not our fault");
    }
}
