//! What a run of tests says of itself: the numbers, and why something was skipped.
//!
//! Four dialects are read: libtest, pytest, node:test and our own closing line `N passed, N failed, N skipped`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

/// Numbers of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Tests that passed.
    pub(crate) passed: u32,
    /// Tests that failed, and runs that crashed.
    pub(crate) failed: u32,
    /// Tests that could not be run here; the reason is printed.
    pub(crate) skipped: u32,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The numbers in a run's output; None when it told none.
pub(crate) fn count(output: &str) -> Option<Count> {
    let mut whole: Option<Count> = None;
    let mut closing = None;
    for line in output.lines() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("test result: ") {
            *whole.get_or_insert_default() += of_words(rest.split_once(". ").map_or("", |(_, rest)| rest));
        } else if let Some((word, number)) = of_node(line) {
            let whole = whole.get_or_insert_default();
            match word {
                "pass" => whole.passed += number,
                "fail" | "cancelled" => whole.failed += number,
                "skipped" | "todo" => whole.skipped += number,
                _ => {}
            }
        } else if is_pytest_summary(line) {
            *whole.get_or_insert_default() += of_words(line.trim_matches('='));
        } else if is_closing(line) {
            closing = Some(of_words(line));
        }
    }
    closing.or(whole)
}

/// Why things were skipped: a line each, or one for all tests of node that have the same reason.
pub(crate) fn skips(output: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut of_node: BTreeMap<&str, u32> = BTreeMap::new();
    for line in output.lines().map(str::trim) {
        let is_reason = line.starts_with("SKIPPED [")
            || line.starts_with("skip ")
            || (line.starts_with("test ") && line.contains(" ... ignored"));
        if is_reason {
            reasons.push(line.to_owned());
        } else if line.starts_with("ok ")
            && let Some((_, reason)) = line.split_once("# SKIP")
        {
            *of_node.entry(reason.trim()).or_default() += 1;
        }
    }
    reasons.extend(of_node.iter().map(|(reason, number)| format!("skip {number} tests: {reason}")));
    reasons
}

/// "3 passed, 1 failed" and "3 passed; 1 ignored" alike.
fn of_words(text: &str) -> Count {
    let mut count = Count::default();
    let words: Vec<&str> = text.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    for pair in words.windows(2) {
        let Ok(number) = pair[0].parse::<u32>() else { continue };
        match pair[1] {
            "passed" => count.passed += number,
            "failed" | "error" | "errors" | "xpassed" => count.failed += number,
            "skipped" | "ignored" | "xfailed" => count.skipped += number,
            _ => {}
        }
    }
    count
}

fn of_node(line: &str) -> Option<(&str, u32)> {
    let rest = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?;
    let (word, number) = rest.split_once(' ')?;
    Some((word, number.parse().ok()?))
}

/// "=== 3 passed, 1 skipped in 0.10s ===", or the same without frame under -q.
fn is_pytest_summary(line: &str) -> bool {
    let line = line.trim_matches(['=', ' ']);
    let Some((numbers, time)) = line.rsplit_once(" in ") else { return false };
    let is_timed = time
        .split(' ')
        .next()
        .is_some_and(|first| first.strip_suffix('s').is_some_and(|seconds| seconds.parse::<f64>().is_ok()));
    is_timed && numbers.split(", ").all(|part| part.split(' ').next().is_some_and(|n| n.parse::<u32>().is_ok()))
}

fn is_closing(line: &str) -> bool {
    let parts: Vec<&str> = line.split(", ").collect();
    parts.len() == 3
        && parts.iter().zip(["passed", "failed", "skipped"]).all(|(part, word)| {
            part.split_once(' ').is_some_and(|(number, name)| number.parse::<u32>().is_ok() && name == word)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(passed: u32, failed: u32, skipped: u32) -> Option<Count> {
        Some(Count { passed, failed, skipped })
    }

    #[test]
    fn libtest_results_are_added_up() {
        let output = "test a ... ok\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
                      test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.01s";
        assert_eq!(count(output), counted(5, 1, 1));
    }

    #[test]
    fn pytest_summaries_are_read_with_and_without_frame() {
        assert_eq!(count("===== 1 failed, 10 passed, 2 skipped, 1 warning in 3.21s ====="), counted(10, 1, 2));
        assert_eq!(count("12 passed in 65.10s (0:01:05)"), counted(12, 0, 0));
        assert_eq!(count("2 passed, 1 error in 0.5s"), counted(2, 1, 0));
        assert_eq!(count("the put was passed in 3 s"), None);
    }

    #[test]
    fn node_reports_are_read_in_both_reporters() {
        let tap = "# tests 5\n# suites 0\n# pass 3\n# fail 1\n# cancelled 0\n# skipped 1\n# todo 0\n# duration_ms 7.5";
        assert_eq!(count(tap), counted(3, 1, 1));
        assert_eq!(count("ℹ pass 2\nℹ fail 0\nℹ skipped 0"), counted(2, 0, 0));
    }

    #[test]
    fn the_closing_line_wins() {
        assert_eq!(count("ok a\nFAIL b: why\n1 passed, 1 failed, 0 skipped\n"), counted(1, 1, 0));
    }

    #[test]
    fn silence_is_no_count() {
        assert_eq!(count("Segmentation fault\n"), None);
    }

    #[test]
    fn reasons_of_skips_are_found() {
        let output = "SKIPPED [1] a.py:3: no browser\nskip nkey-01: later\ntest x ... ignored, slow\nok 2 - y # SKIP no ws\nok 1 - z";
        assert_eq!(skips(output).len(), 4);
    }
}
