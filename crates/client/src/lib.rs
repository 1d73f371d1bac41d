#![doc = include_str!("../README.md")]

pub mod db;
pub mod identity;
pub mod network;

mod client;
mod clock;
mod error;
mod key_packages;
mod signer;

pub use client::{Background, Client, ClientBuilder, ClientOptions, DeviceSync, Lookup};
pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use error::Error;
pub use key_packages::{KeyPackageStatus, Unusable, UsableKeyPackage};
pub use signer::{
    Assertion, Authenticator, ContractWallet, Passkey, SignWith, Signed, Signer, SignerError,
};
