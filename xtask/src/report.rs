//! What the person at the terminal sees: a line when a step starts, a line when it ends,
//! and the counts at the very end.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

/// How a step went.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It did all it should.
    Passed,
    /// It did what it could; each line names something missing and how to get it.
    PassedExcept(Vec<String>),
    /// It could not run at all; the line names what is missing and how to get it.
    Skipped(String),
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
}

impl Report {
    /// Runs `work` as the step `name`, says so, and keeps the outcome.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<Outcome>) {
        line(&format!("==> {name}"));
        let start = Instant::now();
        let outcome = work();
        let took = seconds(start.elapsed());
        match outcome {
            Ok(Outcome::Passed) => {
                self.passed += 1;
                line(&format!("==> {name}: passed in {took}"));
            }
            Ok(Outcome::PassedExcept(missing)) => {
                self.passed += 1;
                line(&format!("==> {name}: passed in {took}, in part"));
                for what in missing {
                    line(&format!("==> {name}: SKIPPED: {what}"));
                    self.skipped.push(format!("{name}: {what}"));
                }
            }
            Ok(Outcome::Skipped(what)) => {
                line(&format!("==> {name}: SKIPPED: {what}"));
                self.skipped.push(format!("{name}: {what}"));
            }
            Err(error) => {
                line(&format!("==> {name}: FAILED after {took}: {error:#}"));
                self.failed.push(format!("{name}: {error:#}"));
            }
        }
    }

    /// Repeats what needs attention and prints the counts as the last line. `true` when
    /// nothing failed and, with `no_skip`, nothing was skipped.
    pub(crate) fn close(self, no_skip: bool) -> bool {
        for what in &self.skipped {
            line(&format!("skipped: {what}"));
        }
        for what in &self.failed {
            line(&format!("failed: {what}"));
        }
        if no_skip && !self.skipped.is_empty() {
            line("skipping is a failure here (--no-skip)");
        }
        line(&self.counts());
        self.is_good(no_skip)
    }

    fn is_good(&self, no_skip: bool) -> bool {
        self.failed.is_empty() && (!no_skip || self.skipped.is_empty())
    }

    fn counts(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed,
            self.failed.len(),
            self.skipped.len()
        )
    }
}

/// Prints one line at once, so that it stands in order with what child processes print.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    // A closed pipe is no reason to stop a test run.
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn the_last_line_counts_the_steps() {
        let mut report = Report::default();
        report.step("one", || Ok(Outcome::Passed));
        report.step("two", || Ok(Outcome::Skipped("no tool".to_owned())));
        report.step("three", || {
            Ok(Outcome::PassedExcept(vec!["no browser".to_owned()]))
        });
        report.step("four", || bail!("broken"));
        assert_eq!(report.counts(), "2 passed, 1 failed, 2 skipped");
        assert!(!report.is_good(false));
    }

    #[test]
    fn a_skip_is_a_failure_only_where_nothing_may_be_skipped() {
        let mut report = Report::default();
        report.step("one", || Ok(Outcome::Skipped("no tool".to_owned())));
        assert!(report.is_good(false));
        assert!(!report.is_good(true));
    }
}
