//! People with groups, for the tests of the engine and of welcomes.

use std::time::SystemTime;

use rand::{SeedableRng as _, rngs::StdRng};

use folkmoot_identity::InstallationSecret;
use folkmoot_wire::{
    GroupId, InboxId,
    proto::xmtp::mls::api::v1::{
        WelcomeMessage, WelcomeMessageInput, welcome_message, welcome_message_input,
    },
};

use crate::{
    CommitPlan, ContextExtensions, Group, Incoming, Installation, KeyPackage, KeyPackageIn,
    KeyPackageSecrets, NewKeyPackage, Opened, PreparedCommit, PreparedWelcome, ProcessError,
    StagedCommit, StagedJoin,
};

/// The cursor that welcomes in tests carry.
pub(crate) const CURSOR: u64 = 7;

/// An installation of its own inbox, with its randomness.
pub(crate) struct Person {
    pub(crate) me: Installation,
    pub(crate) entropy: StdRng,
}

impl Person {
    pub(crate) fn new(number: u8) -> Self {
        let inbox_id = InboxId::from_bytes([number; 32]);
        let secret = InstallationSecret::from_seed(&[number; 32]);
        Self {
            me: Installation::new(inbox_id, secret),
            entropy: StdRng::from_seed([number; 32]),
        }
    }

    pub(crate) fn key_package(&mut self) -> (KeyPackage, KeyPackageSecrets) {
        let now = SystemTime::now();
        let made = NewKeyPackage::make(&self.me, now, &mut self.entropy);
        let verified = KeyPackageIn::decode(&made.bytes).unwrap().verify(now);
        (verified.unwrap(), made.secrets)
    }

    /// A key package whose credential holds these bytes.
    pub(crate) fn key_package_saying(&mut self, identity: &[u8]) -> KeyPackage {
        use openmls::prelude as mls;
        let (package, _) = self.key_package();
        let provider = super::provider::Provider::default();
        provider.draw_from(&mut self.entropy);
        let credential = mls::CredentialWithKey {
            credential: mls::BasicCredential::new(identity.to_vec()).into(),
            signature_key: self.me.key().as_bytes().to_vec().into(),
        };
        let bundle = mls::KeyPackage::builder()
            .leaf_node_capabilities(super::profile::capabilities(self.me.generation()))
            .build(super::profile::SUITE, &provider, &self.me, credential)
            .unwrap();
        package.with_mls(bundle.key_package().clone())
    }

    /// Begins a group.
    pub(crate) fn founds(self) -> Member {
        self.founds_with(&context())
    }

    pub(crate) fn founds_with(mut self, context: &ContextExtensions) -> Member {
        let id = GroupId::try_from(vec![0x47; 16]).unwrap();
        let now = SystemTime::now();
        let group = Group::create(&self.me, &id, context, now, &mut self.entropy).unwrap();
        Member {
            person: self,
            group,
        }
    }
}

/// A person in a group.
pub(crate) struct Member {
    pub(crate) person: Person,
    pub(crate) group: Group,
}

impl Member {
    pub(crate) fn says(&mut self, text: &str) -> Vec<u8> {
        let Person { me, entropy } = &mut self.person;
        self.group.seal(me, text.as_bytes(), entropy).unwrap()
    }

    pub(crate) fn commits(&mut self, plan: CommitPlan) -> PreparedCommit {
        let Person { me, entropy } = &mut self.person;
        self.group.commit(me, plan, entropy).unwrap()
    }

    /// Adds people to a group in which nobody else needs to hear of it.
    pub(crate) fn adds<const N: usize>(&mut self, people: [Person; N]) -> [Self; N] {
        self.adds_before(people, &mut []).1
    }

    /// Adds people and lets the other members know. Returns the commit and those who came.
    pub(crate) fn adds_before<const N: usize>(
        &mut self,
        mut people: [Person; N],
        others: &mut [&mut Self],
    ) -> (PreparedCommit, [Self; N]) {
        let packages = people.each_mut().map(Person::key_package);
        let plan = CommitPlan {
            adds: packages
                .iter()
                .map(|(package, _)| package.clone())
                .collect(),
            ..CommitPlan::default()
        };
        let commit = self.commits(plan);
        self.group.merge_own(&commit.staged).unwrap();
        for other in others {
            other.follows(&commit.message);
        }
        let welcome = commit.welcome.clone().unwrap();
        let joined = people
            .into_iter()
            .zip(packages)
            .map(|(person, (_, secrets))| {
                let group = join(&welcome, &secrets, &mut self.person.entropy, &person.me);
                Self { person, group }
            })
            .collect::<Vec<_>>();
        (commit, joined.try_into().ok().unwrap())
    }

    /// Makes a commit that is ordered at once.
    pub(crate) fn commits_and_merges(&mut self, plan: CommitPlan) -> Vec<u8> {
        let commit = self.commits(plan);
        self.group.merge_own(&commit.staged).unwrap();
        commit.message
    }

    pub(crate) fn hears(&mut self, message: &[u8]) -> Result<String, ProcessError> {
        match self.group.process(message)? {
            Incoming::Application { plaintext, .. } => Ok(String::from_utf8(plaintext).unwrap()),
            other => panic!("{other:?} is no application message"),
        }
    }

    pub(crate) fn stages(&mut self, message: &[u8]) -> StagedCommit {
        match self.group.process(message).unwrap() {
            Incoming::Commit(commit) => *commit,
            other => panic!("{other:?} is no commit"),
        }
    }

    /// Takes in a commit.
    pub(crate) fn follows(&mut self, message: &[u8]) {
        let commit = self.stages(message);
        self.group.merge(commit).unwrap();
    }

    /// The leaf of this member, which must be in the group.
    pub(crate) fn leaf(&self) -> u32 {
        self.group.own_leaf().unwrap().index
    }
}

/// Opens the envelope for `me` and joins.
pub(crate) fn join(
    welcome: &PreparedWelcome,
    secrets: &KeyPackageSecrets,
    entropy: &mut StdRng,
    me: &Installation,
) -> Group {
    let envelopes = welcome.seal(CURSOR, entropy);
    let own = envelopes
        .iter()
        .map(delivered)
        .find(|envelope| addressee(envelope) == me.key().as_bytes())
        .unwrap();
    let opened = match Opened::open(&own, secrets).unwrap() {
        Opened::Welcome(opened) => opened,
        Opened::Pointer(pointer) => pointer.open(&delivered(&envelopes[0])).unwrap(),
    };
    assert_eq!(opened.message_cursor(), CURSOR);
    StagedJoin::stage(&opened, secrets)
        .unwrap()
        .finish()
        .unwrap()
}

pub(crate) fn addressee(envelope: &WelcomeMessage) -> &[u8] {
    match envelope.version.as_ref().unwrap() {
        welcome_message::Version::V1(message) => &message.installation_key,
        welcome_message::Version::WelcomePointer(message) => &message.installation_key,
    }
}

/// What a node makes of an envelope.
pub(crate) fn delivered(input: &WelcomeMessageInput) -> WelcomeMessage {
    let version = match input.version.clone().unwrap() {
        welcome_message_input::Version::V1(input) => {
            welcome_message::Version::V1(welcome_message::V1 {
                id: 1,
                created_ns: 1,
                installation_key: input.installation_key,
                data: input.data,
                hpke_public_key: input.hpke_public_key,
                wrapper_algorithm: input.wrapper_algorithm,
                welcome_metadata: input.welcome_metadata,
            })
        }
        welcome_message_input::Version::WelcomePointer(input) => {
            welcome_message::Version::WelcomePointer(welcome_message::WelcomePointer {
                id: 1,
                created_ns: 1,
                installation_key: input.installation_key,
                welcome_pointer: input.welcome_pointer,
                hpke_public_key: input.hpke_public_key,
                wrapper_algorithm: input.wrapper_algorithm,
            })
        }
    };
    WelcomeMessage {
        version: Some(version),
    }
}

/// Extensions with the types that XMTP's groups have.
pub(crate) fn context() -> ContextExtensions {
    context_named("picnic")
}

pub(crate) fn context_named(name: &str) -> ContextExtensions {
    let required = "0cff01ff00ff02f000000a0001020007020001";
    ContextExtensions(
        [
            (0x0003, hex::decode(required).unwrap()),
            (0xf000, vec![2, 8, 1]),
            (0xff00, name.as_bytes().to_vec()),
            (0xff01, b"members".to_vec()),
            (0xff02, b"permissions".to_vec()),
        ]
        .map(|(number, data)| (number, data.into()))
        .into(),
    )
}
