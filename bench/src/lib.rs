//! What benches share: generated tables and frames.
#![forbid(unsafe_code)]

pub mod acls;
pub mod budget;
pub mod changes;
pub mod churn;
pub mod control;
pub mod frames;
pub mod groups;
pub mod pipeline;
pub mod random;
pub mod routes;
pub mod rules;
pub mod scenarios;
