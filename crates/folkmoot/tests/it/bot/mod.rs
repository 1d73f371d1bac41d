//! `folkmoot bot`, against a node in this process and people in it.

mod commands;
mod events;
mod programs;
mod resume;
mod samples;
mod support;
mod webhook;
