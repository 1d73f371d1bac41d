#![doc = include_str!("../README.md")]

pub mod csi;
pub mod delivery;
pub mod hints;
pub mod mam;
pub mod moment;
pub mod muc;
pub mod ns;
pub mod rsm;
pub mod sasl;
pub mod sm;
pub mod stanza;
pub mod stream;
pub mod subscription;
pub mod xml;
