use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use folkmoot_client::{
    Assertion, Authenticator, Background, Client, ContractWallet, Error, Lookup, Passkey, SignWith,
    Signer, SignerError,
    db::{DatabaseKey, DatabaseOptions},
    identity::{Directory, IdentityError, Reassign, revoke_installations},
    network::{
        CommitLogEntry, ContractAnswer, Cursor, GroupEnvelope, IdentityEntry, Network,
        NetworkError, Newest, OutgoingCommitLogEntry, OutgoingMessage, Page, Subscription, Topics,
        Welcome, WelcomeEnvelope,
    },
};
use folkmoot_conversation::membership::{InboxStates, NeededState};
use folkmoot_identity::{ContractCheck, Identifier, WalletSecret, derive_inbox_id};
use folkmoot_node::{ContractVerifier, Verdict, VerifierError};
use folkmoot_testkit::TestNode;
use folkmoot_wire::{GroupId, InboxId, InstallationKey};
use p256::ecdsa::{SigningKey, signature::Signer as _};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::support::{Generation, both_generations, client, wallet};

both_generations!(
    a_new_account_registers_and_is_found,
    a_second_installation_joins_the_inbox,
    an_eleventh_installation_is_refused,
    accounts_come_and_go,
    recovery_is_handed_over,
    lost_installations_are_revoked,
    states_are_told_as_rules_need_them,
    a_closure_may_decline,
    a_passkey_registers,
);

fn identity_error(error: Error) -> IdentityError {
    match error {
        Error::Identity(error) => error,
        other => panic!("another error: {other}"),
    }
}

async fn a_new_account_registers_and_is_found(generation: Generation) {
    let node = TestNode::start().await;
    let ada = wallet(1);
    let first = client(generation, &node).create(&ada).await.unwrap();
    assert_eq!(
        first.inbox_id(),
        derive_inbox_id(&ada.identifier(), 1).unwrap()
    );
    assert_eq!(first.identifier(), &ada.identifier());

    let known = [wallet(2).identifier(), ada.identifier()];
    assert_eq!(first.can_message(&known).await.unwrap(), [false, true]);
    let found = first.inbox_id_of(&ada.identifier()).await.unwrap();
    assert_eq!(found, Some(first.inbox_id()));

    let state = first.inbox_state(Lookup::Cached).await.unwrap();
    assert_eq!(state, first.inbox_state(Lookup::Network).await.unwrap());
    assert_eq!(state.installations(), [first.installation_key()]);
    assert_eq!(state.identifiers(), [ada.identifier()]);
    assert_eq!(state.recovery_identifier(), &ada.identifier());
    assert_eq!(state.installation_budget(), (1, 10));
    assert_eq!(state.update_budget(), (1, 256));

    let statuses = first
        .key_package_statuses(&[first.installation_key()])
        .await
        .unwrap();
    let package = statuses[0].package.as_ref().unwrap();
    assert_eq!(package.inbox_id, first.inbox_id());
    assert_eq!(
        package.not_after - package.not_before,
        84 * 24 * 3600 + 3600
    );

    let signature = first.sign_with_installation_key("it is me");
    let verify = |text| {
        Client::verify_signed_with_installation_key(&first.installation_key(), text, &signature)
    };
    assert!(verify("it is me").is_ok());
    assert!(verify("it is you").is_err());
}

async fn a_second_installation_joins_the_inbox(generation: Generation) {
    let node = TestNode::start().await;
    let ada = wallet(1);
    let first = client(generation, &node).create(&ada).await.unwrap();
    // Whatever nonce the second one would have used: the account has an inbox.
    let second = client(generation, &node)
        .nonce(7)
        .create(&ada)
        .await
        .unwrap();
    assert_eq!(second.inbox_id(), first.inbox_id());
    assert_ne!(second.installation_key(), first.installation_key());
    let state = first.inbox_state(Lookup::Network).await.unwrap();
    assert_eq!(state.installation_budget(), (2, 10));
    let other = derive_inbox_id(&ada.identifier(), 9).unwrap();
    let error = client(generation, &node)
        .inbox_id(other)
        .create(&ada)
        .await
        .unwrap_err();
    assert!(matches!(
        identity_error(error),
        IdentityError::OtherInbox { .. }
    ));
}

async fn an_eleventh_installation_is_refused(generation: Generation) {
    let node = TestNode::start().await;
    let ada = wallet(1);
    for number in 1..=10 {
        let client = client(generation, &node).create(&ada).await.unwrap();
        assert_eq!(client.registered_now(), Some((number, 10)));
    }
    let error = client(generation, &node).create(&ada).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("has 10 of 10 installations"), "{text}");
    let IdentityError::TooManyInstallations { installations, .. } = identity_error(error) else {
        panic!("{text}");
    };
    assert_eq!(installations, 10);
}

async fn accounts_come_and_go(generation: Generation) {
    let node = TestNode::start().await;
    let (ada, work, carol) = (wallet(1), wallet(2), wallet(3));
    let phone = client(generation, &node).create(&ada).await.unwrap();
    let state = phone.add_account(&work, Reassign::Refuse).await.unwrap();
    assert_eq!(state.identifiers().len(), 2);
    let found = phone.inbox_id_of(&work.identifier()).await.unwrap();
    assert_eq!(found, Some(phone.inbox_id()));

    let tablet = client(generation, &node).create(&work).await.unwrap();
    assert_eq!(
        tablet.inbox_id(),
        phone.inbox_id(),
        "the linked account opens no inbox of its own"
    );

    let hers = client(generation, &node).create(&carol).await.unwrap();
    let error = phone
        .add_account(&carol, Reassign::Refuse)
        .await
        .unwrap_err();
    match identity_error(error) {
        IdentityError::Linked { inbox, .. } => assert_eq!(inbox, hers.inbox_id()),
        other => panic!("{other}"),
    }
    let state = phone.add_account(&carol, Reassign::Allow).await.unwrap();
    assert_eq!(state.identifiers().len(), 3);

    let error = phone
        .remove_account(&work.identifier(), &work)
        .await
        .unwrap_err();
    assert!(matches!(
        identity_error(error),
        IdentityError::NotRecovery { .. }
    ));
    let state = phone
        .remove_account(&work.identifier(), &ada)
        .await
        .unwrap();
    assert_eq!(state.identifiers().len(), 2);
    assert_eq!(
        state.installations(),
        [phone.installation_key()],
        "its installation went too"
    );
    assert_eq!(phone.inbox_id_of(&work.identifier()).await.unwrap(), None);
    let again = phone
        .remove_account(&work.identifier(), &ada)
        .await
        .unwrap();
    assert_eq!(
        again.updates, state.updates,
        "nothing to remove is no update"
    );
}

async fn recovery_is_handed_over(generation: Generation) {
    let node = TestNode::start().await;
    let (ada, vault) = (wallet(1), wallet(2));
    let phone = client(generation, &node).create(&ada).await.unwrap();
    let garbage = Identifier::Ethereum("0x12".into());
    let error = phone.change_recovery(garbage, &ada).await.unwrap_err();
    assert!(matches!(identity_error(error), IdentityError::Address(_)));
    let state = phone
        .change_recovery(vault.identifier(), &ada)
        .await
        .unwrap();
    assert_eq!(state.recovery_identifier(), &vault.identifier());
    let error = phone
        .revoke_all_other_installations(&ada)
        .await
        .unwrap_err();
    let error = identity_error(error);
    assert!(
        error
            .remedy()
            .unwrap()
            .contains(&vault.identifier().to_string())
    );
    assert!(phone.revoke_all_other_installations(&vault).await.is_ok());
}

async fn lost_installations_are_revoked(generation: Generation) {
    let node = TestNode::start().await;
    let ada = wallet(1);
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(client(generation, &node).create(&ada).await.unwrap());
    }
    let keys: Vec<InstallationKey> = clients.iter().map(Client::installation_key).collect();
    let state = clients[0]
        .revoke_installations(vec![keys[3]], &ada)
        .await
        .unwrap();
    assert_eq!(state.installation_budget().0, 3);

    let network = generation.network(&node.url);
    let revoked = revoke_installations(network, clients[0].inbox_id(), vec![keys[2]], &ada);
    assert_eq!(revoked.await.unwrap().installation_budget().0, 2);
    let state = clients[0]
        .revoke_all_other_installations(&ada)
        .await
        .unwrap();
    assert_eq!(state.installations(), [keys[0]]);

    let nobody = InboxId::from_bytes([9; 32]);
    let network = generation.network(&node.url);
    let error = revoke_installations(network, nobody, vec![keys[0]], &ada)
        .await
        .unwrap_err();
    assert!(matches!(
        identity_error(error),
        IdentityError::UnknownInbox(_)
    ));
}

async fn states_are_told_as_rules_need_them(generation: Generation) {
    let node = TestNode::start().await;
    let ada = wallet(1);
    let phone = client(generation, &node).create(&ada).await.unwrap();
    let first = phone.inbox_state(Lookup::Cached).await.unwrap();
    let tablet = client(generation, &node).create(&ada).await.unwrap();
    let second = tablet.inbox_state(Lookup::Cached).await.unwrap();
    assert!(second.sequence > first.sequence);

    let bob = client(generation, &node).create(&wallet(2)).await.unwrap();
    let at = |inbox_id, sequence_id| NeededState {
        inbox_id,
        sequence_id,
    };
    let inbox = phone.inbox_id();
    let nobody = InboxId::from_bytes([9; 32]);
    let needed = [
        at(inbox, 0),
        at(inbox, first.sequence),
        at(inbox, second.sequence - 1),
        at(inbox, second.sequence),
        at(inbox, second.sequence + 100),
        at(nobody, 1),
    ];
    let mut expected = InboxStates::new();
    expected.insert_nothing(needed[0]);
    expected.insert(needed[1], first.sequence, &first.association);
    expected.insert(needed[2], first.sequence, &first.association);
    expected.insert(needed[3], second.sequence, &second.association);
    expected.insert(needed[4], second.sequence, &second.association);
    expected.insert_nothing(needed[5]);
    for _ in 0..2 {
        assert_eq!(bob.directory().states(needed).await.unwrap(), expected);
    }
}

async fn a_closure_may_decline(generation: Generation) {
    let node = TestNode::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let key = || DatabaseKey::Raw([1; 32]);
    let ada = wallet(1);
    let declines = SignWith::new(ada.identifier(), |_| async { Err(SignerError::Declined) });
    let builder = || client(generation, &node).database(&path, key());
    let error = builder().create(&declines).await.unwrap_err();
    assert!(matches!(error, Error::Signer(SignerError::Declined)));
    let short = SignWith::new(ada.identifier(), |_| async { Ok(vec![1; 64]) });
    let error = builder().create(&short).await.unwrap_err();
    assert!(error.to_string().contains("65 bytes"), "{error}");

    let (texts, secret) = (Arc::new(Mutex::new(Vec::new())), ada.clone());
    let shown = Arc::clone(&texts);
    let signs = SignWith::new(ada.identifier(), move |text: String| {
        let signature = secret.sign_text(&text).to_vec();
        shown.lock().push(text);
        async move { Ok(signature) }
    });
    let phone = builder().create(&signs).await.unwrap();
    let texts = texts.lock();
    assert_eq!(texts.len(), 1, "one signature for everything");
    assert!(texts[0].contains("- Create inbox"));
    assert!(texts[0].contains(&phone.installation_key().to_string()));
}

/// A passkey in software.
struct SoftKey(SigningKey);

#[async_trait]
impl Authenticator for SoftKey {
    async fn assert(&self, challenge: &[u8]) -> Result<Assertion, SignerError> {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(challenge);
        let client_data_json = format!(
            r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"https://example.org"}}"#
        );
        let authenticator_data = vec![7; 37];
        let hash = Sha256::digest(&client_data_json);
        let message = [&authenticator_data[..], &hash].concat();
        let signature: p256::ecdsa::DerSignature = self.0.sign(&message);
        Ok(Assertion {
            signature: signature.as_bytes().to_vec(),
            authenticator_data,
            client_data_json: client_data_json.into_bytes(),
        })
    }
}

async fn a_passkey_registers(generation: Generation) {
    let node = TestNode::start().await;
    let key = SigningKey::from_slice(&[5; 32]).unwrap();
    let public = key
        .verifying_key()
        .to_encoded_point(true)
        .as_bytes()
        .to_vec();
    let passkey = Passkey::new(public, Some("example.org".into()), SoftKey(key));
    let phone = client(generation, &node).create(&passkey).await.unwrap();
    let state = phone.inbox_state(Lookup::Network).await.unwrap();
    assert_eq!(state.identifiers(), [Signer::identifier(&passkey)]);
    let tablet = client(generation, &node).create(&passkey).await.unwrap();
    assert_eq!(tablet.inbox_id(), phone.inbox_id());
}

/// A chain on which every contract accepts one signature, from block 100 on.
struct Chain;

#[async_trait]
impl ContractVerifier for Chain {
    async fn verify(&self, check: &ContractCheck) -> Result<Verdict, VerifierError> {
        Ok(Verdict {
            valid: check.signature == b"accepted" && check.block.is_none_or(|block| block >= 100),
            block: check.block.unwrap_or(100),
        })
    }
}

fn contract(signature: &'static [u8]) -> ContractWallet {
    let address = Identifier::ethereum("0xABababababababababababababababababababab").unwrap();
    ContractWallet::new(address, 8453, None, move |_| async move {
        Ok(signature.to_vec())
    })
}

#[tokio::test]
async fn a_contract_wallet_registers_at_the_block_where_it_was_asked() {
    for generation in [Generation::V3, Generation::D14n] {
        let node = TestNode::asking(Arc::new(Chain)).await;
        let error = client(generation, &node)
            .create(&contract(b"forged"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("does not accept"), "{error}");
        let phone = client(generation, &node)
            .create(&contract(b"accepted"))
            .await
            .unwrap();
        let state = phone.inbox_state(Lookup::Network).await.unwrap();
        let member = state.association.members()[1].clone();
        assert_eq!(member.chain_id, Some(8453));
        // Somebody else reads the log and asks the node about the contract.
        let bob = client(generation, &node).create(&wallet(2)).await.unwrap();
        let states = bob
            .inbox_states(&[phone.inbox_id()], Lookup::Network)
            .await
            .unwrap();
        assert_eq!(states[0].as_ref().unwrap(), &state);
    }
}

#[tokio::test]
async fn without_a_chain_nobody_can_use_a_contract_wallet_and_hears_why() {
    let node = TestNode::start().await;
    let error = client(Generation::V3, &node)
        .create(&contract(b"accepted"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no endpoint for chain eip155:8453"),
        "{error}"
    );
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_client_opens_again_without_network_and_signer() {
    let node = TestNode::start().await;
    let folder = tempfile::tempdir().unwrap();
    let options = DatabaseOptions::file(folder.path().join("client.db"), DatabaseKey::Raw([1; 32]));
    let builder = |url: &str| {
        Client::builder()
            .node(url)
            .database_options(options.clone())
            .background(Background::Off)
    };
    let error = builder(&node.url).open().await.unwrap_err();
    assert!(matches!(
        identity_error(error),
        IdentityError::NotRegistered
    ));
    let phone = builder(&node.url).create(&wallet(1)).await.unwrap();
    let (inbox, key) = (phone.inbox_id(), phone.installation_key());
    phone.close().await;

    let nowhere = "http://127.0.0.1:1";
    let phone = builder(nowhere).open().await.unwrap();
    assert_eq!((phone.inbox_id(), phone.installation_key()), (inbox, key));
    assert_eq!(phone.identifier(), &wallet(1).identifier());
    assert!(phone.inbox_state(Lookup::Cached).await.is_ok());
    let error = phone.inbox_state(Lookup::Network).await.unwrap_err();
    assert!(error.remedy().unwrap().contains("folkmoot dev"), "{error}");
    drop(phone);

    let phone = builder(nowhere).create(&wallet(1)).await.unwrap();
    assert_eq!(phone.installation_key(), key, "one installation for ever");
    drop(phone);
    let error = builder(nowhere).create(&wallet(2)).await.unwrap_err();
    assert!(matches!(
        identity_error(error),
        IdentityError::Stranger { .. }
    ));
    let other = InboxId::from_bytes([9; 32]);
    let error = builder(nowhere).inbox_id(other).open().await.unwrap_err();
    assert!(matches!(
        identity_error(error),
        IdentityError::OtherInbox { .. }
    ));
}

/// A network that fails or lies where a test says.
struct Bent {
    honest: Arc<dyn Network>,
    /// Publications of identity updates that are lost on the way there.
    lose_before: AtomicUsize,
    /// Publications that arrive, but of which we do not hear.
    lose_after: AtomicUsize,
    /// Added to the end of every log.
    lie: Option<Bytes>,
    /// The inbox that is lied about; `None`: all.
    about: Option<InboxId>,
}

impl Bent {
    fn new(honest: Arc<dyn Network>) -> Self {
        Self {
            honest,
            lose_before: AtomicUsize::new(0),
            lose_after: AtomicUsize::new(0),
            lie: None,
            about: None,
        }
    }
}

fn lost() -> NetworkError {
    NetworkError::Interrupted {
        call: "IdentityApi/PublishIdentityUpdate",
        address: "http://bent".into(),
        cause: "the test says so".into(),
    }
}

fn counts_down(number: &AtomicUsize) -> bool {
    let less = |number: usize| number.checked_sub(1);
    number
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
        .is_ok()
}

#[async_trait]
impl Network for Bent {
    fn address(&self) -> &str {
        "http://bent"
    }

    async fn inbox_ids(&self, ids: &[Identifier]) -> Result<Vec<Option<InboxId>>, NetworkError> {
        self.honest.inbox_ids(ids).await
    }

    async fn identity_updates(
        &self,
        wanted: &[(InboxId, u64)],
    ) -> Result<Vec<Vec<IdentityEntry>>, NetworkError> {
        let mut logs = self.honest.identity_updates(wanted).await?;
        if let Some(lie) = &self.lie {
            let about = |inbox: &InboxId| self.about.is_none_or(|one| one == *inbox);
            let logs = wanted.iter().zip(&mut logs);
            for ((_, after), log) in logs.filter(|((inbox, _), _)| about(inbox)) {
                let sequence = log.last().map_or(*after, |entry| entry.sequence) + 1;
                log.push(IdentityEntry {
                    sequence,
                    created_ns: 1,
                    update: lie.clone(),
                });
            }
        }
        Ok(logs)
    }

    async fn publish_identity_update(
        &self,
        inbox: &InboxId,
        update: Bytes,
    ) -> Result<(), NetworkError> {
        if counts_down(&self.lose_before) {
            return Err(lost());
        }
        self.honest.publish_identity_update(inbox, update).await?;
        if counts_down(&self.lose_after) {
            return Err(lost());
        }
        Ok(())
    }

    async fn verify_contract_signatures(
        &self,
        checks: &[ContractCheck],
    ) -> Result<Vec<ContractAnswer>, NetworkError> {
        self.honest.verify_contract_signatures(checks).await
    }

    async fn upload_key_package(
        &self,
        installation: &InstallationKey,
        key_package: Bytes,
    ) -> Result<(), NetworkError> {
        self.honest
            .upload_key_package(installation, key_package)
            .await
    }

    async fn key_packages(
        &self,
        installations: &[InstallationKey],
    ) -> Result<Vec<Option<Bytes>>, NetworkError> {
        self.honest.key_packages(installations).await
    }

    async fn publish_group_messages(
        &self,
        messages: Vec<OutgoingMessage>,
    ) -> Result<(), NetworkError> {
        self.honest.publish_group_messages(messages).await
    }

    async fn group_messages(
        &self,
        group: &GroupId,
        after: &Cursor,
        limit: usize,
    ) -> Result<Page<GroupEnvelope>, NetworkError> {
        self.honest.group_messages(group, after, limit).await
    }

    async fn newest_group_messages(
        &self,
        groups: &[GroupId],
    ) -> Result<Vec<Option<Newest>>, NetworkError> {
        self.honest.newest_group_messages(groups).await
    }

    async fn publish_welcomes(&self, welcomes: Vec<Welcome>) -> Result<(), NetworkError> {
        self.honest.publish_welcomes(welcomes).await
    }

    async fn welcomes(
        &self,
        destination: &InstallationKey,
        after: &Cursor,
        limit: usize,
    ) -> Result<Page<WelcomeEnvelope>, NetworkError> {
        self.honest.welcomes(destination, after, limit).await
    }

    fn subscribe(&self, topics: Topics) -> Subscription {
        self.honest.subscribe(topics)
    }

    async fn publish_commit_log(
        &self,
        entries: Vec<OutgoingCommitLogEntry>,
    ) -> Result<(), NetworkError> {
        self.honest.publish_commit_log(entries).await
    }

    async fn commit_log(
        &self,
        wanted: &[(GroupId, u64)],
        limit: usize,
    ) -> Result<Vec<Vec<CommitLogEntry>>, NetworkError> {
        self.honest.commit_log(wanted, limit).await
    }
}

#[tokio::test]
async fn an_interrupted_registration_goes_on_with_the_same_installation() {
    for arrives in [false, true] {
        let node = TestNode::start().await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        let bent = Arc::new(Bent::new(Generation::V3.network(&node.url)));
        let builder = || {
            let network: Arc<dyn Network> = Arc::clone(&bent) as _;
            Client::builder()
                .custom_network(network)
                .database(&path, DatabaseKey::Raw([1; 32]))
        };
        let (before, after) = (&bent.lose_before, &bent.lose_after);
        if arrives { after } else { before }.store(1, Ordering::SeqCst);
        let first = builder().create(&wallet(1)).await;
        let phone = if arrives {
            // The answer was lost, the update was not.
            first.unwrap()
        } else {
            assert!(matches!(first, Err(Error::Network(_))));
            assert!(builder().open().await.is_err(), "it is not registered yet");
            builder().create(&wallet(1)).await.unwrap()
        };
        let state = phone.inbox_state(Lookup::Network).await.unwrap();
        assert_eq!(
            state.installations(),
            [phone.installation_key()],
            "one, not two"
        );
        assert_eq!(state.updates, 1);
    }
}

#[tokio::test]
async fn changes_whose_answer_is_lost_are_made_once_and_seen() {
    let node = TestNode::start().await;
    let bent = Arc::new(Bent::new(Generation::V3.network(&node.url)));
    let network: Arc<dyn Network> = Arc::clone(&bent) as _;
    let (ada, second) = (wallet(1), wallet(2));
    let phone = Client::builder().custom_network(network);
    let phone = phone.create(&ada).await.unwrap();
    let laptop = client(Generation::V3, &node).create(&ada).await.unwrap();
    let lose = |when: &AtomicUsize| when.store(1, Ordering::SeqCst);

    lose(&bent.lose_after);
    let state = phone.add_account(&second, Reassign::Refuse).await.unwrap();
    assert_eq!(state.identifiers().len(), 2);
    // Whoever did not hear of it asks again.
    let again = phone.add_account(&second, Reassign::Refuse).await.unwrap();
    assert_eq!(again.updates, state.updates);

    lose(&bent.lose_after);
    let lost = vec![laptop.installation_key()];
    let state = phone
        .revoke_installations(lost.clone(), &ada)
        .await
        .unwrap();
    assert_eq!(state.installations(), [phone.installation_key()]);
    let again = phone.revoke_installations(lost, &ada).await.unwrap();
    assert_eq!(again.updates, state.updates);

    lose(&bent.lose_after);
    let new = second.identifier();
    let state = phone.change_recovery(new.clone(), &ada).await.unwrap();
    assert_eq!(state.recovery_identifier(), &new);
    let again = phone.change_recovery(new, &ada).await.unwrap();
    assert_eq!(again.updates, state.updates);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_says_nothing_about_others() {
    let node = TestNode::start().await;
    let ada = client(Generation::V3, &node);
    let ada = ada.create(&wallet(1)).await.unwrap();
    let eve = client(Generation::V3, &node);
    let eve = eve.create(&wallet(2)).await.unwrap();
    let mut bent = Bent::new(Generation::V3.network(&node.url));
    bent.lie = Some(Bytes::from_static(b"\xff"));
    bent.about = Some(eve.inbox_id());
    let directory = Directory::in_memory(Arc::new(bent)).unwrap();
    let both = [ada.inbox_id(), eve.inbox_id()];
    for states in [
        directory.refresh_each(&both).await.unwrap(),
        directory.cached_each(&both).await.unwrap(),
    ] {
        let state = states[0].as_ref().unwrap().as_ref().unwrap();
        assert_eq!(state.installations(), [ada.installation_key()]);
        assert!(matches!(states[1], Err(IdentityError::BrokenLog { .. })));
    }
}

#[tokio::test]
async fn a_log_with_a_lie_in_it_is_told_and_not_believed() {
    let node = TestNode::start().await;
    let ada = client(Generation::V3, &node)
        .create(&wallet(1))
        .await
        .unwrap();
    let state = ada.inbox_state(Lookup::Cached).await.unwrap();
    let mut bent = Bent::new(Generation::V3.network(&node.url));
    let forged = folkmoot_testkit::Person::new(1).registration();
    bent.lie = Some(forged);
    let bob = client(Generation::V3, &node)
        .custom_network(Arc::new(bent))
        .create(&wallet(2))
        .await;
    // His own log has the lie too, so he hears of it at once.
    let error = identity_error(bob.unwrap_err());
    assert!(matches!(error, IdentityError::BrokenLog { .. }), "{error}");

    let mut bent = Bent::new(Generation::V3.network(&node.url));
    bent.lie = Some(Bytes::from_static(b"\xff"));
    let directory = Directory::in_memory(Arc::new(bent)).unwrap();
    let error = directory.refresh(&[ada.inbox_id()]).await.unwrap_err();
    assert!(matches!(
        identity_error(error),
        IdentityError::BrokenLog { .. }
    ));
    let at = |sequence_id| NeededState {
        inbox_id: ada.inbox_id(),
        sequence_id,
    };
    let needed = [at(state.sequence), at(state.sequence + 1)];
    let mut expected = InboxStates::new();
    expected.insert(needed[0], state.sequence, &state.association);
    expected.insert_invalid(needed[1]);
    assert_eq!(directory.states(needed).await.unwrap(), expected);
}

#[tokio::test]
async fn a_wallet_as_a_signer_names_itself() {
    let secret: WalletSecret = wallet(4);
    assert_eq!(Signer::identifier(&secret), secret.identifier());
}
