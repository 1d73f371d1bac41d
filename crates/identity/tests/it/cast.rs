//! The people and apps of the tests, and a diary of their inbox.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use folkmoot_identity::{
    AssociationError, AssociationState, ContractVerdicts, Identifier, IdentityUpdate,
    InstallationSecret, MemberIdentifier, Rules, Signature, Signer, UpdateBuilder, WalletSecret,
    derive_inbox_id,
};
use folkmoot_wire::InboxId;
use p256::ecdsa::{SigningKey, signature::Signer as _};
use sha2::{Digest, Sha256};

pub(crate) fn wallet(seed: u8) -> WalletSecret {
    WalletSecret::from_bytes(&[seed; 32]).unwrap()
}

pub(crate) fn app(seed: u8) -> InstallationSecret {
    InstallationSecret::from_seed(&[seed; 32])
}

/// A passkey that signs as browsers do.
pub(crate) struct Passkey {
    key: SigningKey,
    /// Whether its signatures have S in the other half of the order.
    pub(crate) twin: bool,
}

pub(crate) fn passkey(seed: u8) -> Passkey {
    Passkey {
        key: SigningKey::from_slice(&[seed; 32]).unwrap(),
        twin: false,
    }
}

impl Passkey {
    pub(crate) fn identifier(&self) -> Identifier {
        let point = self.key.verifying_key().to_encoded_point(true);
        Identifier::passkey(&hex::encode(point.as_bytes()), None).unwrap()
    }
}

impl Signer for Passkey {
    fn member(&self) -> MemberIdentifier {
        self.identifier().into()
    }

    fn sign(&self, text: &str) -> Signature {
        let client_data = serde_json::json!({
            "type": "webauthn.get",
            "challenge": BASE64_URL_SAFE_NO_PAD.encode(text),
            "origin": "https://app.example",
        })
        .to_string();
        let authenticator_data = [7; 37];
        let hash = Sha256::digest(&client_data);
        let message = [&authenticator_data[..], &hash[..]].concat();
        let mut signature: p256::ecdsa::Signature = self.key.sign(&message);
        if self.twin {
            let (r, s) = signature.split_scalars();
            signature =
                p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
        }
        let point = self.key.verifying_key().to_encoded_point(true);
        Signature::passkey(
            point.as_bytes().to_vec(),
            signature.to_der().as_bytes().to_vec(),
            authenticator_data.to_vec(),
            client_data.into_bytes(),
        )
    }
}

/// A contract wallet on a chain; its signatures are arbitrary bytes.
pub(crate) struct Contract {
    pub(crate) chain: u64,
    pub(crate) address: String,
}

pub(crate) fn contract(chain: u64) -> Contract {
    Contract {
        chain,
        address: format!("0x{}", "c0".repeat(20)),
    }
}

impl Contract {
    pub(crate) fn identifier(&self) -> Identifier {
        Identifier::Ethereum(self.address.clone())
    }
}

impl Signer for Contract {
    fn member(&self) -> MemberIdentifier {
        self.identifier().into()
    }

    fn sign(&self, text: &str) -> Signature {
        let account = format!("eip155:{}:{}", self.chain, self.address);
        let bytes = format!("signed: {text}").into_bytes();
        Signature::contract(&account, 17, bytes).unwrap()
    }
}

/// The inbox of somebody, and its clock.
pub(crate) struct Inbox {
    pub(crate) id: InboxId,
    pub(crate) now_ns: u64,
    pub(crate) state: Option<AssociationState>,
}

impl Inbox {
    /// The inbox that `owner` opened.
    pub(crate) fn of(owner: &impl Signer) -> Self {
        let identifier = owner.member().identifier().unwrap();
        let id = derive_inbox_id(&identifier, 0).unwrap();
        let mut inbox = Self {
            id,
            now_ns: 1_700_000_000_000_000_000,
            state: None,
        };
        let update = inbox.update().create_inbox(identifier, 0).sign(owner);
        inbox.takes(update).unwrap();
        inbox
    }

    /// An empty update, a second after the last one.
    pub(crate) fn update(&mut self) -> UpdateBuilder {
        self.now_ns += 1_000_000_000;
        UpdateBuilder::new(self.id, self.now_ns)
    }

    /// Verifies and applies an update by the rules of libxmtp. Contracts say yes.
    pub(crate) fn takes(&mut self, update: UpdateBuilder) -> Result<(), AssociationError> {
        let state = self.would_take(&update.finish().unwrap(), Rules::Libxmtp)?;
        self.state = Some(state);
        Ok(())
    }

    /// The state after an update, which is not kept.
    pub(crate) fn would_take(
        &self,
        update: &IdentityUpdate,
        rules: Rules,
    ) -> Result<AssociationState, AssociationError> {
        let verified = update.verify(&yes(update))?;
        AssociationState::apply(self.state.as_ref(), &verified, rules)
    }

    pub(crate) fn state(&self) -> &AssociationState {
        self.state.as_ref().unwrap()
    }

    pub(crate) fn has(&self, member: impl Into<MemberIdentifier>) -> bool {
        self.state().is_member(&member.into())
    }
}

/// All contracts accept what they are asked about.
pub(crate) fn yes(update: &IdentityUpdate) -> ContractVerdicts {
    let checks = update.contract_checks().into_iter();
    checks.map(|check| (check, Ok(true))).collect()
}
