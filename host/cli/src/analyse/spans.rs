//! Spans of time in which something held, and figures about a set of values.

use serde::Serialize;

/// Spans that are named; the others are only counted.
const NAMED: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Span {
    pub from_s: f64,
    pub seconds: f64,
}

/// What is shown of all spans together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Spans {
    pub count: u64,
    pub seconds: f64,
    /// The first ten.
    pub first: Vec<Span>,
}

impl Spans {
    pub fn add(&mut self, span: Span) {
        self.count += 1;
        self.seconds += span.seconds;
        if self.first.len() < NAMED {
            self.first.push(span);
        }
    }
}

/// Watches one condition; spans shorter than `least` seconds don't count.
pub struct Watch {
    least: f64,
    since: Option<f64>,
    spans: Spans,
}

impl Watch {
    pub fn new(least: f64) -> Watch {
        Watch {
            least,
            since: None,
            spans: Spans::default(),
        }
    }

    /// From `at` on it holds, or not.
    pub fn see(&mut self, at: f64, holds: bool) {
        match (self.since, holds) {
            (None, true) => self.since = Some(at),
            (Some(from_s), false) => {
                self.since = None;
                let seconds = at - from_s;
                if seconds >= self.least {
                    self.spans.add(Span { from_s, seconds });
                }
            }
            _ => {}
        }
    }

    pub fn end(mut self, at: f64) -> Spans {
        self.see(at, false);
        self.spans
    }
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

/// `None` without values.
pub fn percentiles(mut values: Vec<f64>) -> Option<Percentiles> {
    values.sort_by(f64::total_cmp);
    let max = *values.last()?;
    let at = |part: f64| {
        let index = (part * values.len() as f64).ceil() as usize;
        values.get(index.saturating_sub(1)).copied().unwrap_or(max)
    };
    Some(Percentiles {
        p50: at(0.5),
        p95: at(0.95),
        p99: at(0.99),
        max,
    })
}

pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let high = *values.get(values.len() / 2)?;
    let low = *values.get((values.len() - 1) / 2)?;
    Some((low + high) / 2.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn short_spans_do_not_count_and_an_open_one_ends_with_the_file() {
        let mut watch = Watch::new(0.5);
        for (at, holds) in [
            (0.0, false),
            (1.0, true),
            (1.2, false),
            (2.0, true),
            (2.4, true),
            (3.0, false),
            (9.0, true),
        ] {
            watch.see(at, holds);
        }
        let spans = watch.end(10.0);
        let wanted = [(2.0, 1.0), (9.0, 1.0)].map(|(from_s, seconds)| Span { from_s, seconds });
        assert_eq!(spans.first, wanted);
        assert_eq!((spans.count, spans.seconds), (2, 2.0));
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let figures = percentiles((1..=100).map(f64::from).collect()).unwrap();
        assert_eq!(
            (figures.p50, figures.p95, figures.p99, figures.max),
            (50.0, 95.0, 99.0, 100.0)
        );
        assert_eq!(percentiles(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0, 10.0]), Some(2.5));
    }
}
