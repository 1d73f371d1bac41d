//! The keys of what each of the official program's commands prints as JSON (version 0.2.0, on the
//! official SDK 6.0.0): facts about it, and ours must print the same. What ours adds stands in
//! [`ADDED`] and nowhere else.

use std::{
    cell::Cell,
    collections::{BTreeSet, HashMap},
};

use serde_json::Value;

use super::{
    Net, Person,
    conversations::heard,
    help::OFFICIAL,
    shape::{Difference, Shape, compare},
};

/// One command: who runs it, its arguments, and what it prints.
///
/// Arguments and shapes have words that begin with `$`: in arguments they stand for a value of
/// [`World::words`], in shapes for one of [`PARTS`]. How shapes are written: [`super::shape`].
struct Row {
    who: Who,
    command: &'static str,
    arguments: &'static str,
    shape: &'static str,
    /// A word for later rows, and where its value stands.
    gives: Option<(&'static str, &'static str)>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Who {
    Alice,
    Bob,
}

const fn row(command: &'static str, arguments: &'static str, shape: &'static str) -> Row {
    Row {
        who: Who::Alice,
        command,
        arguments,
        shape,
        gives: None,
    }
}

impl Row {
    const fn by_bob(mut self) -> Self {
        self.who = Who::Bob;
        self
    }

    /// Later rows call what stands at `pointer` by `word`.
    const fn gives(mut self, word: &'static str, pointer: &'static str) -> Self {
        self.gives = Some((word, pointer));
        self
    }
}

/// Shapes that several commands print.
const PARTS: &[(&str, &str)] = &[
    ("$account", "{identifier identifierKind}"),
    (
        "$state",
        "{inboxId recoveryIdentifier $account installations[{id clientTimestampNs}] identifiers[$account]}",
    ),
    (
        "$member",
        "{inboxId accountIdentifiers[$account] installationIds[] permissionLevel consentState}",
    ),
    (
        "$newcomer",
        "{inboxId accountIdentifiers[$account] permissionLevel}",
    ),
    ("$type", "{authorityId typeId versionMajor versionMinor}"),
    (
        "$policies",
        "{policyType policySet{addMemberPolicy removeMemberPolicy addAdminPolicy removeAdminPolicy \
         updateGroupNamePolicy updateGroupDescriptionPolicy updateGroupImageUrlSquarePolicy \
         updateMessageDisappearingPolicy updateAppDataPolicy}}",
    ),
    ("$done", "{success message}"),
    ("$synced", "{success conversationId message}"),
    ("$role", "{success conversationId inboxId message}"),
];

/// What ours prints beyond the official program: command, and path of the key.
const ADDED: &[(&str, &str)] = &[
    // Which installations went with the account.
    ("client remove-account", "removedInstallations"),
    // Where a group cannot be used.
    ("conversations get", "trouble"),
    // Content of a type without codec, which the official program leaves out.
    ("conversation messages", "fallback"),
    // A message that was rewritten.
    ("conversations get-message", "edited"),
];

/// Every command, in an order in which each finds what it needs.
const TABLE: &[Row] = &[
    row(
        "init",
        "--stdout",
        "{XMTP_WALLET_KEY XMTP_DB_ENCRYPTION_KEY XMTP_ENV}",
    ),
    row("can-message", "$bob $nobody", "[{identifier reachable}]"),
    row(
        "address-authorized",
        "$alice-inbox $alice",
        "{inboxId address isAuthorized}",
    ),
    row(
        "installation-authorized",
        "$alice-inbox $installation",
        "{inboxId installationId isAuthorized}",
    ),
    row("inbox-states", "$alice-inbox $bob-inbox", "[$state]"),
    row(
        "client info",
        "",
        "{properties{address inboxId installationId isRegistered appVersion libxmtpVersion} \
         options{env? apiUrl? historySyncUrl? gatewayHost? dbPath? loggingLevel? structuredLogging? \
         disableAutoRegister? disableDeviceSync? appVersion? nonce?}}",
    ),
    row(
        "client inbox-id",
        "-i $bob",
        "{identifier kind inboxId found}",
    ),
    row(
        "client sign",
        "noon",
        "{message signature encoding installationId}",
    )
    .gives("$signature", "/signature"),
    row(
        "client verify-signature",
        "noon -s $signature",
        "{message isValid installationId}",
    ),
    row(
        "client key-package-status",
        "-i $installation",
        "{installationIds[] statuses{<id>{lifetime{notBefore notAfter}}}}",
    ),
    row(
        "client add-account",
        "--new-wallet-key $dave-key --force",
        "{success newAddress inboxId message}",
    ),
    row(
        "client remove-account",
        "-i $dave --force",
        "{success removedIdentifier kind inboxId message}",
    ),
    row(
        "conversations create-dm",
        "$bob",
        "{id peerInboxId createdAt consentState isActive creatorInboxId members[$newcomer]}",
    )
    .gives("$dm", "/id"),
    row(
        "conversations create-group",
        "$bob --name club --description chess",
        "{id name description imageUrl createdAt memberCount members[$newcomer]}",
    )
    .gives("$group", "/id"),
    row("conversations sync", "", "$done"),
    row(
        "conversations sync-all",
        "",
        "{success message numGroupsSynced{numEligible numSynced}}",
    ),
    row(
        "conversations list",
        "--type group",
        "[{id type createdAt consentState isActive name description imageUrl}]",
    ),
    row(
        "conversations list",
        "--type dm",
        "[{id type createdAt consentState isActive peerInboxId}]",
    ),
    row(
        "conversations get",
        "$group",
        "{id type createdAt createdAtNs consentState isActive addedByInboxId creatorInboxId \
         memberCount members[$member] name description imageUrl admins[] superAdmins[] \
         permissions $policies}",
    ),
    row(
        "conversations get",
        "$dm",
        "{id type createdAt createdAtNs consentState isActive addedByInboxId creatorInboxId \
         memberCount members[$member] peerInboxId}",
    ),
    row(
        "conversations get-dm",
        "$bob",
        "{id peerInboxId createdAt consentState isActive addedByInboxId creatorInboxId \
         members[$member]}",
    ),
    row("conversations hmac-keys", "", "{<id>[{key epoch}]}"),
    row(
        "conversation send-text",
        "$group noon",
        "{success messageId conversationId text optimistic}",
    )
    .gives("$text", "/messageId"),
    row(
        "conversation send-markdown",
        "$group *noon*",
        "{success messageId conversationId markdown optimistic}",
    ),
    row(
        "conversation send-reply",
        "$group $text one",
        "{success messageId conversationId reply{reference referenceInboxId text} optimistic}",
    ),
    row(
        "conversation send-reaction",
        "$group $text add 👍",
        "{success messageId conversationId optimistic reaction{reference content action}}",
    ),
    row(
        "conversation send-read-receipt",
        "$group",
        "{success messageId conversationId optimistic}",
    ),
    row("conversation publish-messages", "$group", "$synced"),
    row(
        "conversations get-message",
        "$text",
        "{id conversationId senderInboxId contentType $type content sentAt deliveryStatus kind \
         fallback? numReplies reactions[{id senderInboxId content{reference referenceInboxId \
         action content schema} sentAt}]}",
    ),
    row(
        "conversation messages",
        "$group",
        "[{id senderInboxId contentType $type content* sentAt deliveryStatus}]",
    ),
    row(
        "conversation count-messages",
        "$group",
        "{conversationId messageCount}",
    ),
    row(
        "conversation add-members",
        "$group $carol",
        "{success conversationId addedMembers[] count}",
    ),
    row("conversation members", "$group", "[$member]"),
    row(
        "conversation remove-members",
        "$group $carol",
        "{success conversationId removedMembers[] count}",
    ),
    row(
        "conversation permissions",
        "$group",
        "{conversationId permissions $policies}",
    ),
    row(
        "conversation consent-state",
        "$group",
        "{conversationId consentState}",
    ),
    row(
        "conversation debug-info",
        "$group",
        "{conversationId debugInfo{epoch maybeForked forkDetails isCommitLogForked? localCommitLog \
         remoteCommitLog cursor[{originatorId sequenceId}]}}",
    ),
    row("conversation sync", "$group", "$synced"),
    row("conversation add-admin", "$group $bob-inbox", "$role"),
    row(
        "conversation list-admins",
        "$group",
        "{conversationId admins[] count}",
    ),
    row("conversation remove-admin", "$group $bob-inbox", "$role"),
    row("conversation add-super-admin", "$group $bob-inbox", "$role"),
    row(
        "conversation list-super-admins",
        "$group",
        "{conversationId superAdmins[] count}",
    ),
    row(
        "conversation remove-super-admin",
        "$group $bob-inbox",
        "$role",
    ),
    row(
        "conversation update-name",
        "$group tower",
        "{success conversationId name}",
    ),
    row(
        "conversation update-description",
        "$group rooks",
        "{success conversationId description}",
    ),
    row(
        "conversation update-image-url",
        "$group https://example.org/rook.png",
        "{success conversationId imageUrl}",
    ),
    row(
        "conversation update-permission",
        "$group --type add-member --policy admin",
        "{success conversationId permissionType policy metadataField}",
    ),
    row(
        "conversation update-permission",
        "$group --type update-metadata --policy admin --metadata-field group-name",
        "{success conversationId permissionType policy metadataField}",
    ),
    row(
        "conversation update-consent",
        "$group --state allowed",
        "{success conversationId consentState}",
    ),
    row(
        "preferences set-consent",
        "--entity-type inbox_id --entity $bob-inbox --state allowed",
        "{success entityType entity state}",
    ),
    row(
        "preferences get-consent",
        "--entity-type conversation_id --entity $group",
        "{entityType entity state}",
    ),
    row("preferences inbox-state", "--sync", "$state"),
    row("preferences inbox-states", "$bob-inbox", "[$state]"),
    row("preferences sync", "", "$done"),
    row("conversations sync", "", "$done").by_bob(),
    row(
        "conversation stream",
        "$group --count 1",
        "{id senderInboxId contentType $type content* sentAt sentAtNs deliveryStatus}",
    )
    .by_bob(),
    row(
        "conversations stream-all-messages",
        "--count 1",
        "{id conversationId senderInboxId contentType $type content* sentAt deliveryStatus kind}",
    )
    .by_bob(),
    row(
        "conversations stream",
        "--type group --count 1",
        "{type id createdAt isActive name description}",
    )
    .by_bob(),
    row(
        "preferences stream",
        "--count 1",
        "{timestamp updates[{type entityType? entity? state? key?}]}",
    ),
    row("conversation request-removal", "$group", "$synced").by_bob(),
    row(
        "client revoke-installations",
        "-i $second --force",
        "{success revokedInstallations[] count inboxId message}",
    ),
    row(
        "revoke-installations",
        "$alice-inbox -i $third --force",
        "{success inboxId revokedInstallations[] count message}",
    ),
    row(
        "client revoke-all-other-installations",
        "--force",
        "{success currentInstallationId inboxId message}",
    ),
    row(
        "client change-recovery-identifier",
        "-i $nobody --force",
        "{success newRecoveryIdentifier kind inboxId message}",
    ),
];

#[test]
fn every_command_prints_the_keys_that_the_official_one_prints() {
    let listed: BTreeSet<&str> = TABLE.iter().map(|row| row.command).collect();
    assert_eq!(listed, OFFICIAL.iter().copied().collect());

    let mut world = World::new();
    for row in TABLE {
        let printed = world.run(row);
        let mut found = Vec::new();
        let shape = Shape::parse(row.shape, PARTS);
        compare(&shape, &printed, "", &mut found);
        found.retain(|difference| {
            let added = |(command, path): &(_, &str)| {
                *command == row.command && difference == &Difference::Added(format!(".{path}"))
            };
            !ADDED.iter().any(added)
        });
        let Row {
            command, arguments, ..
        } = row;
        assert!(
            found.is_empty(),
            "{command} {arguments}: {found:?}\n{printed}"
        );
        if let Some((word, pointer)) = row.gives {
            let value = printed.pointer(pointer).and_then(Value::as_str).unwrap();
            world.words.insert(word, value.to_owned());
        }
    }
}

/// Who runs the commands, and what the words of their arguments stand for.
struct World {
    alice: Person,
    bob: Person,
    words: HashMap<&'static str, String>,
    /// The node ends with it.
    _net: Net,
}

impl World {
    fn new() -> Self {
        let net = Net::start();
        let (alice, bob, carol, dave) = (net.person(), net.person(), net.person(), net.person());
        let installation = |database: Option<&str>| {
            let flags = database.map(|database| ["--db-path", database]);
            let info = [
                &["client", "info"][..],
                flags.as_ref().map_or(&[], |flags| flags),
            ];
            let info = alice.json(&info.concat());
            info["properties"]["installationId"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let words = HashMap::from([
            ("$alice", alice.address()),
            ("$alice-inbox", alice.inbox()),
            ("$bob", bob.address()),
            ("$bob-inbox", bob.inbox()),
            ("$carol", carol.address()),
            ("$dave", dave.address()),
            ("$dave-key", dave.variable("XMTP_WALLET_KEY")),
            (
                "$nobody",
                "0x00000000000000000000000000000000000000aa".to_owned(),
            ),
            ("$installation", installation(None)),
            ("$second", installation(Some("second.db"))),
            ("$third", installation(Some("third.db"))),
        ]);
        Self {
            alice,
            bob,
            words,
            _net: net,
        }
    }

    /// What the row's command prints.
    fn run(&self, row: &Row) -> Value {
        let Self {
            alice, bob, words, ..
        } = self;
        let person = if row.who == Who::Alice { alice } else { bob };
        let spelled = row.arguments.split_whitespace();
        let spelled = spelled.map(|word| words.get(word).map_or(word, String::as_str));
        let arguments: Vec<&str> = row.command.split(' ').chain(spelled).collect();
        let any = |_: &Value| true;
        match row.command {
            // It prints a file for the shell, whatever `--json` says.
            "init" => {
                let printed = person.ok(&[&["xmtp"], &arguments[..]].concat());
                let lines = printed.lines().filter_map(|line| line.split_once('='));
                lines
                    .map(|(name, value)| (name.to_owned(), Value::from(value)))
                    .collect()
            }
            "conversation stream" | "conversations stream-all-messages" => {
                heard(person, &arguments, any, || {
                    alice.json(&["conversation", "send-text", &words["$group"], "now"]);
                })
            }
            "conversations stream" => heard(person, &arguments, any, || {
                alice.json(&["conversations", "create-group", &words["$bob"]]);
            }),
            "preferences stream" => {
                let turn = Cell::new(false);
                heard(person, &arguments, any, || {
                    turn.set(!turn.get());
                    let state = if turn.get() { "denied" } else { "allowed" };
                    let second = ["--db-path", "second.db"];
                    let entity = [
                        "--entity-type",
                        "inbox_id",
                        "--entity",
                        &words["$bob-inbox"],
                    ];
                    let set = ["preferences", "set-consent", "--state", state];
                    alice.json(&[&set[..], &entity, &second].concat());
                    alice.json(&[&["preferences", "sync"][..], &second].concat());
                })
            }
            _ => person.json(&arguments),
        }
    }
}
