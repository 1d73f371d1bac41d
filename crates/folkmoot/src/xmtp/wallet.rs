//! Who signs for the account: a key that we have, or a program that asks somebody else, such as a
//! wallet app, a hardware key, or the platform that holds a passkey.

use std::process::Stdio;

use anyhow::Context as _;
use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use folkmoot_client::{Assertion, Authenticator, Passkey, Signed, Signer, SignerError};
use folkmoot_identity::{Identifier, PasskeyIdentifier, WalletSecret};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use crate::failure::{Exit, Failure};

/// Signs for the account of a command.
#[derive(Clone, Debug)]
pub(crate) struct Wallet {
    account: Account,
    hand: Hand,
}

/// An account, as `--wallet` names it.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Account {
    /// An Ethereum key signs.
    Key(Identifier),
    /// A contract accepts signatures.
    Contract { chain: u64, address: Identifier },
    /// A passkey signs.
    Passkey(PasskeyIdentifier),
}

/// Who makes the signature.
#[derive(Clone, Debug)]
enum Hand {
    Key(WalletSecret),
    Program(Program),
}

/// A command line that gets the text on its standard input and prints the signature.
#[derive(Clone, Debug)]
struct Program(String);

impl Wallet {
    /// The signer that flags or variables describe, if they describe one: the account's name, the
    /// command that signs, and a key. A key alone is an account; a contract's key is its owner's.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when they do not go together.
    pub(crate) fn new(
        account: Option<&str>,
        sign_with: Option<&str>,
        key: Option<WalletSecret>,
    ) -> Result<Option<Self>, Failure> {
        let Some(account) = account else {
            return match (sign_with, key) {
                (None, key) => Ok(key.map(Self::from)),
                (Some(_), _) => Err(Failure::new(
                    Exit::Usage,
                    "nobody says for which account the command signs",
                    FORMS,
                )),
            };
        };
        let account: Account = parse(account).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{account:?} is no account"), FORMS)
        })?;
        let hand = match (sign_with, key) {
            (Some(command), _) => Hand::Program(Program(command.to_owned())),
            (None, Some(key)) => match &account {
                Account::Contract { .. } => Hand::Key(key),
                Account::Key(identifier) if *identifier == key.identifier() => Hand::Key(key),
                _ => return Err(unsigned("the key is of another account")),
            },
            (None, None) => return Err(unsigned("nobody signs for the account")),
        };
        Ok(Some(Self { account, hand }))
    }
}

impl From<WalletSecret> for Wallet {
    fn from(key: WalletSecret) -> Self {
        Self {
            account: Account::Key(key.identifier()),
            hand: Hand::Key(key),
        }
    }
}

/// The forms of an account, for whoever wrote another one.
const FORMS: &str =
    "0xADDRESS, contract:CHAIN:0xADDRESS or passkey:PUBLIC_KEY[@ORIGIN] as --wallet or XMTP_WALLET";

fn unsigned(what: &str) -> Failure {
    Failure::new(
        Exit::Usage,
        what,
        "--sign-with or XMTP_SIGN_WITH: a command that prints the signature of its standard input",
    )
}

fn parse(text: &str) -> Option<Account> {
    if let Some(rest) = text.strip_prefix("contract:") {
        let (chain, address) = rest.split_once(':')?;
        return Some(Account::Contract {
            chain: chain.parse().ok()?,
            address: Identifier::ethereum(address).ok()?,
        });
    }
    if let Some(rest) = text.strip_prefix("passkey:") {
        let (key, origin) = match rest.split_once('@') {
            Some((key, origin)) => (key, Some(origin.to_owned())),
            None => (rest, None),
        };
        return match Identifier::passkey(key, origin).ok()? {
            Identifier::Passkey(passkey) if !passkey.key.is_empty() => {
                Some(Account::Passkey(passkey))
            }
            _ => None,
        };
    }
    Identifier::ethereum(text).ok().map(Account::Key)
}

#[async_trait]
impl Signer for Wallet {
    fn identifier(&self) -> Identifier {
        match &self.account {
            Account::Key(identifier) => identifier.clone(),
            Account::Contract { address, .. } => address.clone(),
            Account::Passkey(passkey) => Identifier::Passkey(passkey.clone()),
        }
    }

    async fn sign(&self, text: &str) -> Result<Signed, SignerError> {
        if let (Account::Passkey(passkey), Hand::Program(program)) = (&self.account, &self.hand) {
            let (key, origin) = (passkey.key.clone(), passkey.relying_party.clone());
            return Passkey::new(key, origin, program.clone()).sign(text).await;
        }
        let signature = match &self.hand {
            Hand::Key(key) => key.sign_text(text).to_vec(),
            Hand::Program(program) => program.bytes(text).await.map_err(failed)?,
        };
        match &self.account {
            Account::Contract { chain, .. } => Ok(Signed::Contract {
                chain_id: *chain,
                block: None,
                signature: signature.into(),
            }),
            _ if signature.len() == WALLET_SIGNATURE_BYTES => Ok(Signed::Wallet(signature.into())),
            _ => Err(SignerError::Failed(format!(
                "a wallet's signature has {WALLET_SIGNATURE_BYTES} bytes, not {}",
                signature.len()
            ))),
        }
    }
}

/// R, S and V.
const WALLET_SIGNATURE_BYTES: usize = 65;
/// More than any signature, of a contract that is not deployed yet included.
const MOST_OUTPUT_BYTES: u64 = 1 << 20;

fn failed(cause: anyhow::Error) -> SignerError {
    SignerError::Failed(format!("{cause:#}"))
}

impl Program {
    /// What the command prints when it reads `text`.
    async fn ask(&self, text: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut child = Command::new("sh")
            .args(["-c", &self.0])
            // It signs by itself, and needs none of our keys.
            .env_remove("XMTP_WALLET_KEY")
            .env_remove("XMTP_DB_ENCRYPTION_KEY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start the command that signs")?;
        let mut stdin = child.stdin.take().context("the command's input")?;
        let stdout = child.stdout.take().context("the command's output")?;
        let give = async {
            // A command that ends without reading says so by its exit code.
            drop(stdin.write_all(text).await);
            drop(stdin);
        };
        let mut printed = Vec::new();
        let mut limited = stdout.take(MOST_OUTPUT_BYTES + 1);
        let ((), read) = tokio::join!(give, limited.read_to_end(&mut printed));
        read.context("read what the command that signs prints")?;
        let is_signature = u64::try_from(printed.len()).is_ok_and(|all| all <= MOST_OUTPUT_BYTES);
        // Not waited for: it would go on printing, and nobody reads it.
        anyhow::ensure!(is_signature, "the command prints far more than a signature");
        let status = child.wait().await?;
        anyhow::ensure!(status.success(), "the command ended with {status}");
        Ok(printed)
    }

    /// The same, of a command that prints hex digits.
    async fn bytes(&self, text: &str) -> anyhow::Result<Vec<u8>> {
        let printed = String::from_utf8(self.ask(text.as_bytes()).await?);
        let printed = printed.context("the command prints no hex digits")?;
        let digits = printed.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        hex::decode(digits).context("the command prints no hex digits")
    }
}

/// What WebAuthn gives, in the names of its JSON form, each in base64url.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PasskeyAnswer {
    signature: String,
    authenticator_data: String,
    #[serde(rename = "clientDataJSON")]
    client_data_json: String,
}

#[async_trait]
impl Authenticator for Program {
    async fn assert(&self, challenge: &[u8]) -> Result<Assertion, SignerError> {
        let printed = self.ask(challenge).await.map_err(failed)?;
        let wrong = |what: &str| SignerError::Failed(format!("the command prints no {what}"));
        let answer: PasskeyAnswer = serde_json::from_slice(&printed)
            .map_err(|_| wrong("JSON with signature, authenticatorData and clientDataJSON"))?;
        let bytes = |what: &str, text: &str| {
            let decoded = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
            decoded.map_err(|_| wrong(&format!("{what} in base64url")))
        };
        Ok(Assertion {
            signature: bytes("signature", &answer.signature)?,
            authenticator_data: bytes("authenticatorData", &answer.authenticator_data)?,
            client_data_json: bytes("clientDataJSON", &answer.client_data_json)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "0x00000000000000000000000000000000000000aa";

    fn wallet(account: &str, sign_with: Option<&str>, key: bool) -> Result<Wallet, Failure> {
        let key = key.then(|| WalletSecret::from_bytes(&[1; 32]).unwrap());
        Wallet::new(Some(account), sign_with, key).map(Option::unwrap)
    }

    #[test]
    fn accounts_have_three_forms() {
        assert!(matches!(parse(ADDRESS), Some(Account::Key(_))));
        let contract = parse(&format!("contract:8453:{ADDRESS}"));
        assert!(matches!(
            contract,
            Some(Account::Contract { chain: 8453, .. })
        ));
        let Some(Account::Passkey(passkey)) = parse("passkey:02ab@https://here.example") else {
            panic!("a passkey");
        };
        assert_eq!(
            passkey.relying_party.as_deref(),
            Some("https://here.example")
        );
        for wrong in [
            "",
            "alice",
            "contract:base:0x1",
            "contract:1",
            "passkey:",
            "passkey:2",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn whoever_signs_must_be_named() {
        assert!(wallet(ADDRESS, None, false).is_err());
        assert!(wallet(ADDRESS, None, true).is_err());
        assert!(wallet(ADDRESS, Some("true"), false).is_ok());
        assert!(wallet(&format!("contract:1:{ADDRESS}"), None, true).is_ok());
        assert!(wallet("passkey:02ab", None, true).is_err());
        assert!(Wallet::new(None, Some("true"), None).is_err());
        assert!(Wallet::new(None, None, None).unwrap().is_none());
    }

    #[tokio::test]
    async fn a_command_reads_the_text_and_prints_the_signature() {
        let sign = async |account: &str, command: &str| {
            wallet(account, Some(command), false)
                .unwrap()
                .sign("a\nb")
                .await
        };
        let sixty_five = format!(
            "test \"$(cat)\" = \"$(printf 'a\\nb')\" && echo 0x{}",
            "07".repeat(65)
        );
        let signed = sign(ADDRESS, &sixty_five).await.unwrap();
        assert_eq!(signed, Signed::Wallet(vec![7; 65].into()));
        let contract = format!("contract:5:{ADDRESS}");
        let signed = sign(&contract, "echo 0102").await.unwrap();
        let expected = Signed::Contract {
            chain_id: 5,
            block: None,
            signature: vec![1, 2].into(),
        };
        assert_eq!(signed, expected);
        let json = r#"echo '{"signature":"AQ","authenticatorData":"Ag==","clientDataJSON":"Aw"}'"#;
        let Signed::Passkey {
            signature,
            client_data_json,
            ..
        } = sign("passkey:02ab", json).await.unwrap()
        else {
            panic!("a passkey");
        };
        assert_eq!(
            (&signature[..], &client_data_json[..]),
            (&[1][..], &[3][..])
        );
        for (account, command) in [
            (ADDRESS, "exit 3"),
            (ADDRESS, "echo 0102"),
            (ADDRESS, "echo yes"),
            (ADDRESS, "yes"),
            (ADDRESS, "test -n \"$XMTP_WALLET_KEY\""),
            ("passkey:02ab", "echo {}"),
        ] {
            let failed = sign(account, command).await;
            assert!(matches!(failed, Err(SignerError::Failed(_))), "{failed:?}");
        }
    }
}
