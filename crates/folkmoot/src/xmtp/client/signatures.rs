//! Signatures with the installation's key.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;
use folkmoot_client::Client;

use super::super::{
    output::Output,
    run::{AsClient, Me},
    value::object,
};
use crate::failure::{Exit, Failure};

/// The arguments of `sign`.
#[derive(Args, Debug)]
pub(crate) struct Sign {
    /// The text
    message: String,
    /// Print the signature in base64 instead of hex digits
    #[arg(long)]
    base64: bool,
}

impl AsClient for Sign {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let signature = me.client.sign_with_installation_key(&self.message);
        let (signature, encoding) = match self.base64 {
            true => (BASE64_STANDARD.encode(signature), "base64"),
            false => (hex::encode(signature), "hex"),
        };
        out.result(object! {
            "message" => self.message,
            "signature" => signature,
            "encoding" => encoding,
            "installationId" => me.client.installation_key().to_string(),
        })?;
        Ok(())
    }
}

/// The arguments of `verify-signature`.
#[derive(Args, Debug)]
pub(crate) struct VerifySignature {
    /// The text
    message: String,
    /// The signature
    #[arg(short, long)]
    signature: String,
    /// The signature is in base64 instead of hex digits
    #[arg(long)]
    base64: bool,
}

impl AsClient for VerifySignature {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let bytes = match self.base64 {
            true => BASE64_STANDARD.decode(&self.signature).ok(),
            false => {
                let digits = &self.signature;
                hex::decode(digits.strip_prefix("0x").unwrap_or(digits)).ok()
            }
        };
        let bytes = bytes.ok_or_else(|| {
            let form = if self.base64 { "base64" } else { "hex digits" };
            Failure::new(
                Exit::Usage,
                format!("the signature is not in {form}"),
                "the signature that `folkmoot xmtp client sign` printed, and --base64 if it did",
            )
        })?;
        let key = me.client.installation_key();
        let checked = Client::verify_signed_with_installation_key(&key, &self.message, &bytes);
        out.result(object! {
            "message" => self.message,
            "isValid" => checked.is_ok(),
            "installationId" => key.to_string(),
        })?;
        Ok(())
    }
}
