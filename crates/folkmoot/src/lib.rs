#![doc = include_str!("../README.md")]

mod backup;
mod bench;
mod bot;
mod chat;
pub mod cli;
pub mod config;
mod data_dir;
pub mod dev;
mod doctor;
pub mod evm;
pub mod failure;
pub mod inputs;
pub mod listen;
pub mod log;
mod metrics;
pub mod named;
mod net;
mod open_files;
mod ports;
mod ready;
pub mod serve;
mod signals;
mod storage;
mod upkeep;
pub mod usage;
mod xmtp;

pub use data_dir::DataDir;
