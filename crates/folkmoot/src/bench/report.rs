//! What came out, for people and for programs.

use std::io::{self, Write};

use serde::Serialize;

/// The whole outcome of a run; its JSON form is stable.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// What the machine can do at most, measured beside the workloads.
    pub(crate) floor: Floor,
    /// One entry for each number.
    pub(crate) results: Vec<Measured>,
}

/// What the machine can do at most, and what else it was doing.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Floor {
    /// Appends of 4 KiB to one file, each made durable by itself, a second.
    pub(crate) fdatasync_per_s: f64,
    /// Median of one such append, in milliseconds.
    pub(crate) fdatasync_p50_ms: f64,
    /// gRPC calls a second that echo 1 KB over loopback, 64 in flight, out of another process.
    pub(crate) echo_per_s: f64,
    /// Median of one such call when it is the only one, in milliseconds.
    pub(crate) echo_p50_ms: f64,
    /// Processors that the bench and the node share.
    pub(crate) cpus: usize,
    /// Processes that ran or wanted to before the bench began, over one minute.
    pub(crate) load_before: f64,
}

impl Floor {
    /// The same, with the digits that mean something.
    pub(crate) fn rounded(self) -> Self {
        Self {
            fdatasync_per_s: rounded(self.fdatasync_per_s),
            fdatasync_p50_ms: rounded(self.fdatasync_p50_ms),
            echo_per_s: rounded(self.echo_per_s),
            echo_p50_ms: rounded(self.echo_p50_ms),
            ..self
        }
    }
}

/// One number.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    /// The workload.
    pub(crate) id: &'static str,
    /// What was measured.
    pub(crate) metric: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// The bound that the value should keep; none for numbers that explain others.
    pub(crate) goal: Option<f64>,
    /// Whether it does.
    pub(crate) ok: bool,
    /// From which side the goal bounds the value.
    #[serde(skip)]
    bound: Bound,
    /// Whether the node answered wrongly, which no goal excuses.
    #[serde(skip)]
    wrong: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bound {
    AtLeast,
    AtMost,
}

impl Report {
    /// Adds a number that should reach `goal`.
    pub(crate) fn at_least(
        &mut self,
        id: &'static str,
        metric: impl Into<String>,
        value: f64,
        unit: &'static str,
        goal: f64,
    ) {
        self.push(id, metric.into(), value, unit, Some(goal), Bound::AtLeast);
    }

    /// Adds a number that should not exceed `goal`.
    pub(crate) fn at_most(
        &mut self,
        id: &'static str,
        metric: impl Into<String>,
        value: f64,
        unit: &'static str,
        goal: f64,
    ) {
        self.push(id, metric.into(), value, unit, Some(goal), Bound::AtMost);
    }

    /// Adds a number without a goal.
    pub(crate) fn note(
        &mut self,
        id: &'static str,
        metric: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) {
        self.push(id, metric.into(), value, unit, None, Bound::AtLeast);
    }

    /// Adds that a workload could not be finished or got a wrong answer.
    pub(crate) fn failed(&mut self, id: &'static str, cause: &anyhow::Error) {
        self.results.push(Measured {
            id,
            metric: format!("failed: {cause:#}"),
            value: 0.0,
            unit: "",
            goal: None,
            ok: false,
            bound: Bound::AtLeast,
            wrong: true,
        });
    }

    /// Whether some workload failed.
    pub(crate) fn wrong(&self) -> bool {
        self.results.iter().any(|result| result.wrong)
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

    /// Writes a table.
    pub(crate) fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let floor = &self.floor;
        writeln!(
            out,
            "machine   {} processors, load {:.2} before\n\
             floors    {} durable appends/s ({} ms each), {} echoes/s ({} ms alone)\n",
            floor.cpus,
            floor.load_before,
            number(floor.fdatasync_per_s),
            number(floor.fdatasync_p50_ms),
            number(floor.echo_per_s),
            number(floor.echo_p50_ms),
        )?;
        let mut rows = vec![["id", "workload", "value", "unit", "goal", ""].map(str::to_owned)];
        rows.extend(self.results.iter().map(Measured::row));
        let mut widths = [0; 6];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for [id, workload, value, unit, goal, mark] in rows {
            let [a, b, c, d, e, _] = widths;
            let line =
                format!("{id:a$}  {workload:b$}  {value:>c$}  {unit:d$}  {goal:>e$}  {mark}");
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn push(
        &mut self,
        id: &'static str,
        metric: String,
        value: f64,
        unit: &'static str,
        goal: Option<f64>,
        bound: Bound,
    ) {
        let value = rounded(value);
        let ok = goal.is_none_or(|goal| match bound {
            Bound::AtLeast => value >= goal,
            Bound::AtMost => value <= goal,
        });
        self.results.push(Measured {
            id,
            metric,
            value,
            unit,
            goal,
            ok,
            bound,
            wrong: false,
        });
    }
}

impl Measured {
    fn row(&self) -> [String; 6] {
        let goal = self.goal.map_or_else(String::new, |goal| {
            let sign = match self.bound {
                Bound::AtLeast => "≥",
                Bound::AtMost => "≤",
            };
            format!("{sign} {}", number(goal))
        });
        let mark = match (self.ok, self.goal) {
            (true, Some(_)) => "✔",
            (true, None) => "",
            (false, _) => "✘",
        };
        [
            self.id.to_owned(),
            self.metric.clone(),
            if self.wrong {
                String::new()
            } else {
                number(self.value)
            },
            self.unit.to_owned(),
            goal,
            mark.to_owned(),
        ]
    }
}

/// To four significant digits, or to the whole number if that has more.
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits.clamp(0, 9));
    (value * scale).round() / scale
}

/// A number as people write it: thousands apart, no more digits than mean something.
pub(crate) fn number(value: f64) -> String {
    let value = rounded(value);
    if value.abs() < 10_000.0 {
        return value.to_string();
    }
    let digits = format!("{value:.0}");
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits.as_str()), |rest| ("-", rest));
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Report {
        let mut report = Report {
            floor: Floor {
                fdatasync_per_s: 1234.56,
                fdatasync_p50_ms: 0.8104,
                echo_per_s: 25_000.0,
                echo_p50_ms: 0.12,
                cpus: 2,
                load_before: 0.1,
            },
            results: Vec::new(),
        };
        report.at_least("N1", "publish, 64 in flight", 12_345.6, "msg/s", 10_000.0);
        report.at_most("N3", "p99", 15.2, "ms", 15.0);
        report.note("N4", "as batches", 100.0, "msg/s");
        report
    }

    #[test]
    fn the_json_form_is_stable() {
        let mut json = Vec::new();
        example().write_json(&mut json).unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            concat!(
                r#"{"floor":{"fdatasync_per_s":1234.56,"fdatasync_p50_ms":0.8104,"#,
                r#""echo_per_s":25000.0,"echo_p50_ms":0.12,"cpus":2,"load_before":0.1},"results":["#,
                r#"{"id":"N1","metric":"publish, 64 in flight","value":12346.0,"unit":"msg/s","goal":10000.0,"ok":true},"#,
                r#"{"id":"N3","metric":"p99","value":15.2,"unit":"ms","goal":15.0,"ok":false},"#,
                r#"{"id":"N4","metric":"as batches","value":100.0,"unit":"msg/s","goal":null,"ok":true}]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn the_table_shows_goals_and_who_missed_them() {
        let mut table = Vec::new();
        example().write_table(&mut table).unwrap();
        assert_eq!(
            String::from_utf8(table).unwrap(),
            "machine   2 processors, load 0.10 before\n\
             floors    1235 durable appends/s (0.8104 ms each), 25 000 echoes/s (0.12 ms alone)\n\
             \n\
             id  workload                value  unit       goal\n\
             N1  publish, 64 in flight  12 346  msg/s  ≥ 10 000  ✔\n\
             N3  p99                      15.2  ms         ≤ 15  ✘\n\
             N4  as batches                100  msg/s\n"
        );
    }

    #[test]
    fn a_wrong_answer_is_more_than_a_missed_goal() {
        let mut report = example();
        assert!(!report.good());
        assert!(!report.wrong());
        report.failed("N2", &anyhow::anyhow!("a page has 99 messages"));
        assert!(report.wrong());
    }

    #[test]
    fn numbers_keep_what_means_something() {
        assert_eq!(number(0.123_456), "0.1235");
        assert_eq!(number(1_234.5), "1235");
        assert_eq!(number(-1_234_567.0), "-1 234 567");
        assert_eq!(number(f64::NAN), "0");
    }
}
