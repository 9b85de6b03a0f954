//! `daistilemix` as applications meet it: harnesses with a test clock, pipelines, threads.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod churn;
mod fuzz;
mod live;
mod offline;
mod pictures;
