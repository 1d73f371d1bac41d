//! The operations by name.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use folkmoot_client::{
    Client, Clock as _, Conversation, DeviceSync, Generation, GroupOptions, ListOptions, Lookup,
    ManualClock, MessageQuery, Signer,
    db::DatabaseKey,
    identity::{Reassign, revoke_installations},
    network::{NetworkAddress, NetworkOptions},
};
use folkmoot_conversation::{
    ArchiveKey, ConsentEntity, ConsentState, EncryptedAttachment,
    archive::ArchiveOptions,
    content::{
        Attachment, Content, Reaction, ReactionAction, ReactionSchema, RemoteAttachment, Reply,
    },
    context::{AdminChange, Attribute, ConversationKind, DisappearingSettings},
    open_attachment,
};
use folkmoot_identity::Identifier;
use folkmoot_wire::{GroupId, InboxId, InstallationKey, MessageId};
use parking_lot::Mutex;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    Failure,
    contents::{self, PlainAttachment, PlainRemote, bytes_of, hex_of},
    policies,
    stream::Heard,
    wallet::{self, Contract},
};

/// The people of a script, by name.
#[derive(Default)]
pub(crate) struct Actor {
    people: Mutex<BTreeMap<String, Arc<Person>>>,
}

/// One open client.
struct Person {
    client: Client,
    signer: Arc<dyn Signer>,
    heard: Heard,
}

type Done = Result<Value, Failure>;

/// How long key packages of our client live, but for an hour before.
const KEY_PACKAGE_LIFETIME: Duration = Duration::from_secs(84 * 24 * 3600);

/// Most operations are about a conversation.
#[derive(Deserialize)]
struct In {
    id: String,
}

/// What a message points at.
#[derive(Deserialize)]
struct Target {
    id: String,
    from: String,
}

impl Actor {
    /// Performs the operation `name`.
    pub(crate) async fn perform(&self, name: &str, args: Value) -> Done {
        let who = args["who"].as_str().unwrap_or_default().to_owned();
        if name == "open" {
            return self.open(who, take(args)?).await;
        }
        if name == "relink" {
            return self.relink(who).await;
        }
        if name == "close" {
            let person = self.people.lock().remove(&who);
            if let Some(person) = person.and_then(Arc::into_inner) {
                person.client.close().await;
            }
            return Ok(Value::Null);
        }
        let person = self.people.lock().get(&who).cloned();
        let person = person.ok_or_else(|| format!("nobody opened a client as {who}"))?;
        person.perform(name, args).await
    }

    async fn open(&self, who: String, args: Open) -> Done {
        let signer: Arc<dyn Signer> = wallet::signer(&args.key, args.wallet)?.into();
        let mut builder = Client::builder()
            .network(args.network.options()?)
            .device_sync(if args.device_sync {
                DeviceSync::On
            } else {
                DeviceSync::Off
            });
        if let Some(seconds) = args.package_seconds {
            // A clock so far behind that what it dates is over then.
            let behind = KEY_PACKAGE_LIFETIME.saturating_sub(Duration::from_secs(seconds));
            let now = ManualClock::now().now_ns();
            let behind = u64::try_from(behind.as_nanos())?;
            builder = builder.clock(Arc::new(ManualClock::new(now.saturating_sub(behind))));
        }
        if args.app_data_groups {
            builder = builder.app_data_groups();
        }
        if let Some(url) = args.history_sync_url {
            builder = builder.history_url(url);
        }
        if let Some(path) = args.path {
            // What the scripts give to official clients too.
            builder = builder.database(path, DatabaseKey::Raw([7; 32]));
        }
        let client = builder.create(&*signer).await?;
        Ok(self.seat(who, client, signer))
    }

    /// Links somebody's device again: a new installation takes its place.
    async fn relink(&self, who: String) -> Done {
        let person = self.people.lock().get(&who).cloned();
        let person = person.ok_or_else(|| format!("nobody opened a client as {who}"))?;
        let client = person.client.relink(&*person.signer).await?;
        Ok(self.seat(who, client, Arc::clone(&person.signer)))
    }

    /// Gives `client` to the person called `who`.
    fn seat(&self, who: String, client: Client, signer: Arc<dyn Signer>) -> Value {
        let opened = json!({
            "inbox": client.inbox_id().to_string(),
            "installation": client.installation_key().to_string(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        let person = Person {
            client,
            signer,
            heard: Heard::default(),
        };
        self.people.lock().insert(who, Arc::new(person));
        opened
    }

    /// Closes what is open.
    pub(crate) async fn close_all(&self) {
        let people = std::mem::take(&mut *self.people.lock());
        for person in people.into_values().filter_map(Arc::into_inner) {
            person.client.close().await;
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    key: String,
    wallet: Option<Contract>,
    network: Address,
    history_sync_url: Option<String>,
    #[serde(default)]
    device_sync: bool,
    path: Option<PathBuf>,
    /// Whether it can be in groups of libxmtp 1.11 that live in a dictionary.
    #[serde(default)]
    app_data_groups: bool,
    /// In how many seconds the installation's first key package expires.
    package_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Address {
    api_url: Option<String>,
    gateway_host: Option<String>,
    /// No bidirectional streams.
    #[serde(default)]
    plain_streams: bool,
}

impl Address {
    fn options(self) -> Result<NetworkOptions, Failure> {
        let address = match (self.api_url, self.gateway_host) {
            (_, Some(gateway)) => NetworkAddress::Gateway(gateway),
            (Some(node), None) => NetworkAddress::Node(node),
            (None, None) => return Err("a network needs apiUrl or gatewayHost".into()),
        };
        Ok(NetworkOptions {
            plain_streams: self.plain_streams,
            ..NetworkOptions::new(address)
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GroupParticulars {
    group_name: Option<String>,
    group_description: Option<String>,
    group_image_url_square: Option<String>,
    app_data: Option<String>,
    permissions: Option<Value>,
    disappearing: Option<Disappearing>,
    /// In a group of libxmtp 1.11 and newer.
    dictionary: bool,
}

/// Decimal text: the numbers are larger than what JSON's readers keep.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Disappearing {
    from_ns: String,
    in_ns: String,
}

impl Disappearing {
    fn settings(&self) -> Result<DisappearingSettings, Failure> {
        Ok(DisappearingSettings {
            from_ns: self.from_ns.parse()?,
            in_ns: self.in_ns.parse()?,
        })
    }
}

impl Person {
    async fn perform(&self, name: &str, args: Value) -> Done {
        match name {
            "reachable" => self.reachable(take(args)?).await,
            "dm" => self.dm(take(args)?).await,
            "group" => self.group(take(args)?).await,
            "say" | "sayAll" | "send" | "react" | "reply" | "deleteMessage" => {
                self.say(name, args).await
            }
            "add" | "remove" | "update" | "promote" | "demote" | "crown" | "uncrown" | "permit"
            | "leave" | "disappear" | "convert" => self.change(name, args).await,
            "permissions" => {
                let conversation = self.conversation(&args).await?;
                Ok(policies::show(&conversation.permissions()?))
            }
            "sync" => {
                self.client.conversations().sync_all(&[]).await?;
                Ok(Value::Null)
            }
            "conversations" => self.conversations().await,
            "read" => self.read(args).await,
            "state" => self.state(args).await,
            "devices" => self.devices(args).await,
            "lastRead" => {
                let times = self.conversation(&args).await?.last_read_times().await?;
                Ok(times.keys().map(ToString::to_string).collect())
            }
            "listen" | "heard" | "troubles" | "hangUp" => self.hear(name, args).await,
            "allow" | "consent" | "allowConversation" | "conversationConsent" => {
                self.consent(name, args).await
            }
            "inbox" | "revokeOthers" | "revokeFor" | "addAccount" | "removeAccount" => {
                self.identity(name, args).await
            }
            "askForHistory" => {
                let options = ArchiveOptions::everything();
                self.client.send_sync_request(options).await?;
                Ok(Value::Null)
            }
            "syncDevices" => {
                self.client.conversations().sync_all(&[]).await?;
                self.client.sync_devices().await?;
                Ok(Value::Null)
            }
            "exportArchive" | "importArchive" => self.archive(name, take(args)?).await,
            "seal" => seal(take(args)?),
            "unseal" => unseal(take(args)?),
            other => Err(format!("no operation is called {other}").into()),
        }
    }

    async fn conversation(&self, args: &Value) -> Result<Conversation, Failure> {
        let In { id } = In::deserialize(args)?;
        let id: GroupId = id.parse()?;
        Ok(self.client.conversations().get(&id).await?)
    }

    async fn reachable(&self, args: Reachable) -> Done {
        let identifiers = args.addresses.iter().map(|one| Identifier::ethereum(one));
        let identifiers: Vec<_> = identifiers.collect::<Result<_, _>>()?;
        Ok(json!(self.client.can_message(&identifiers).await?))
    }

    async fn dm(&self, args: WithInbox) -> Done {
        let dm = self
            .client
            .conversations()
            .new_dm(args.inbox.parse()?)
            .await?;
        Ok(dm.id().to_string().into())
    }

    async fn group(&self, args: NewGroup) -> Done {
        let particulars = args.options;
        let permissions = particulars.permissions.as_ref().map(policies::parse);
        let disappearing = particulars.disappearing.as_ref();
        let options = GroupOptions {
            name: particulars.group_name,
            description: particulars.group_description,
            image_url: particulars.group_image_url_square,
            app_data: particulars.app_data,
            permissions: permissions.transpose()?,
            disappearing: disappearing.map(Disappearing::settings).transpose()?,
            generation: match particulars.dictionary {
                true => Generation::AppData,
                false => Generation::Extensions,
            },
        };
        let conversations = self.client.conversations();
        let group = conversations
            .new_group(inboxes(&args.inboxes)?, options)
            .await?;
        Ok(group.id().to_string().into())
    }

    async fn say(&self, name: &str, args: Value) -> Done {
        let conversation = self.conversation(&args).await?;
        let id = match name {
            "say" => {
                let Say { text } = take(args)?;
                conversation.send_text(text).await?
            }
            "sayAll" => {
                let SayAll { texts } = take(args)?;
                for text in &texts {
                    conversation.send_text(text).await?;
                }
                return Ok(texts.len().into());
            }
            "send" => {
                let Send { content } = take(args)?;
                conversation.send(&contents::parse(content)?).await?
            }
            "react" => {
                let React { to, emoji, removed } = take(args)?;
                let reaction = Reaction {
                    reference: to.id,
                    reference_inbox_id: Some(to.from),
                    action: if removed {
                        ReactionAction::Removed
                    } else {
                        ReactionAction::Added
                    },
                    content: emoji,
                    schema: ReactionSchema::Unicode,
                };
                conversation.send(&reaction.into()).await?
            }
            "reply" => {
                let Answer { to, text } = take(args)?;
                let mut reply = Reply::new(to.id.parse()?, &Content::text(text))?;
                reply.reference_inbox_id = Some(to.from);
                conversation.send(&reply.into()).await?
            }
            _ => {
                let DeleteMessage { message } = take(args)?;
                let message: MessageId = message.parse()?;
                conversation.delete_message(&message).await?
            }
        };
        Ok(id.to_string().into())
    }

    async fn change(&self, name: &str, args: Value) -> Done {
        let mut conversation = self.conversation(&args).await?;
        match name {
            "add" => {
                let Inboxes { inboxes: added } = take(args)?;
                conversation.add_members(inboxes(&added)?).await?;
            }
            "remove" => {
                let Inboxes { inboxes: removed } = take(args)?;
                conversation.remove_members(inboxes(&removed)?).await?;
            }
            "update" => {
                let update: Update = take(args)?;
                let values = [
                    (Attribute::GroupName, update.name),
                    (Attribute::Description, update.description),
                    (Attribute::ImageUrl, update.image_url),
                    (Attribute::AppData, update.app_data),
                ];
                for (attribute, value) in values {
                    if let Some(value) = value {
                        conversation.set_attribute(attribute, value).await?;
                    }
                }
            }
            "permit" => {
                let Permit { what, who } = take(args)?;
                let who = policies::who(&who)?;
                for kind in policies::kinds(&what)? {
                    conversation.set_permission(kind, who).await?;
                }
            }
            "leave" => conversation.leave().await?,
            "convert" => conversation.convert().await?,
            "disappear" => {
                let Disappear { settings } = take(args)?;
                let settings = settings.as_ref().map(Disappearing::settings);
                conversation.set_disappearing(settings.transpose()?).await?;
            }
            role => {
                let change = match role {
                    "promote" => AdminChange::AddAdmin,
                    "demote" => AdminChange::RemoveAdmin,
                    "crown" => AdminChange::AddSuperAdmin,
                    _ => AdminChange::RemoveSuperAdmin,
                };
                let WithInbox { inbox } = take(args)?;
                conversation.change_admins(change, inbox.parse()?).await?;
            }
        }
        Ok(Value::Null)
    }

    async fn conversations(&self) -> Done {
        let all = self
            .client
            .conversations()
            .list(&ListOptions::default())
            .await?;
        Ok(all
            .iter()
            .map(|one| json!({ "id": one.id().to_string(), "kind": kind(one.kind()) }))
            .collect())
    }

    async fn read(&self, args: Value) -> Done {
        let mut conversation = self.conversation(&args).await?;
        if args["offline"] != true {
            conversation.sync().await?;
            conversation.refresh().await?;
        }
        let mut members: Vec<_> = conversation
            .members()
            .await?
            .iter()
            .map(|member| member.inbox_id.to_string())
            .collect();
        members.sort_unstable();
        let messages = conversation
            .enriched_messages(&MessageQuery::default())
            .await?;
        let disappearing = conversation.disappearing().map(|settings| {
            json!({
                "fromNs": settings.from_ns.to_string(),
                "inNs": settings.in_ns.to_string(),
            })
        });
        let mut read = json!({
            "active": conversation.is_active(),
            "members": members,
            "messages": messages.iter().map(contents::show_enriched).collect::<Value>(),
            "disappearing": disappearing,
        });
        if conversation.kind() == ConversationKind::Group {
            read["name"] = conversation.name().into();
            read["description"] = conversation.description().into();
            read["imageUrl"] = conversation.image_url().into();
            read["appData"] = conversation.app_data().into();
            read["admins"] = sorted(conversation.admins());
            read["superAdmins"] = sorted(conversation.super_admins());
        }
        Ok(read)
    }

    /// Epoch, what all members have in common in each that was met, and what is wrong.
    async fn state(&self, args: Value) -> Done {
        let conversation = self.conversation(&args).await?;
        let log = conversation.commit_log().await?;
        let epochs: BTreeMap<String, String> = log
            .iter()
            .filter(|entry| !entry.authenticator.is_empty())
            .map(|entry| (entry.epoch.to_string(), hex::encode(&entry.authenticator)))
            .collect();
        Ok(json!({
            "epoch": conversation.epoch(),
            // None while we are not in it.
            "authenticator": conversation.epoch_authenticator().await.ok().map(hex::encode),
            "epochs": epochs,
            "trouble": conversation.trouble(),
        }))
    }

    /// The installations of a member's inbox, as they stand in the conversation.
    async fn devices(&self, args: Value) -> Done {
        let conversation = self.conversation(&args).await?;
        conversation.sync().await?;
        let WithInbox { inbox } = take(args)?;
        let inbox = inbox.parse()?;
        let members = conversation.members().await?;
        let member = members.iter().find(|member| member.inbox_id == inbox);
        let member = member.ok_or("no member has this inbox")?;
        Ok(sorted(&member.installations))
    }

    async fn hear(&self, name: &str, args: Value) -> Done {
        match name {
            "listen" => {
                self.heard.listen(&self.client).await?;
                Ok(Value::Null)
            }
            "heard" => {
                let wanted: Wanted = take(args)?;
                let patience = Duration::from_secs_f64(wanted.seconds.unwrap_or(20.0));
                let count = wanted.count;
                let found = self.heard.wait(|entry| wanted.lets(entry), count, patience);
                Ok(Value::Array(found.await))
            }
            "troubles" => {
                let wanted = |entry: &Value| entry["kind"] != "message";
                Ok(self.heard.wait(wanted, 0, Duration::ZERO).await.into())
            }
            _ => {
                self.heard.hang_up();
                Ok(Value::Null)
            }
        }
    }

    async fn consent(&self, name: &str, args: Value) -> Done {
        let preferences = self.client.preferences();
        match name {
            "allow" => {
                let Allow { inbox, state } = take(args)?;
                let entity = ConsentEntity::Inbox(inbox.parse()?);
                preferences.set_consent([(entity, consent(state)?)]).await?;
                Ok(Value::Null)
            }
            "consent" => {
                let WithInbox { inbox } = take(args)?;
                preferences.sync().await?;
                let entity = ConsentEntity::Inbox(inbox.parse()?);
                Ok(preferences.consent(entity).await?.number().into())
            }
            "allowConversation" => {
                let AllowConversation { state } = AllowConversation::deserialize(&args)?;
                let conversation = self.conversation(&args).await?;
                conversation.set_consent(consent(state)?).await?;
                Ok(Value::Null)
            }
            _ => Ok(self
                .conversation(&args)
                .await?
                .consent()
                .await?
                .number()
                .into()),
        }
    }

    async fn identity(&self, name: &str, args: Value) -> Done {
        let client = &self.client;
        match name {
            "inbox" => {
                let WhichInbox { inbox } = take(args)?;
                let inbox = inbox.map_or(Ok(client.inbox_id()), |id| id.parse())?;
                let found = client.inbox_states(&[inbox], Lookup::Network).await?;
                let state = found.into_iter().next().flatten();
                let state = state.ok_or("nobody has this inbox")?;
                return Ok(json!({
                    "accounts": sorted(state.identifiers()),
                    "installations": sorted(state.installations()),
                }));
            }
            "revokeOthers" => {
                client.revoke_all_other_installations(&*self.signer).await?;
            }
            "revokeFor" => {
                let RevokeFor {
                    key,
                    inbox,
                    installations,
                } = take(args)?;
                let keys = installations.iter().map(|one| installation(one));
                let keys = keys.collect::<Result<_, _>>()?;
                let recovery = wallet::key_of(&key)?;
                let network = Arc::clone(client.network());
                revoke_installations(network, inbox.parse()?, keys, &recovery).await?;
            }
            "addAccount" => {
                let AddAccount { key } = take(args)?;
                let account = wallet::key_of(&key)?;
                client.add_account(&account, Reassign::Allow).await?;
            }
            _ => {
                let RemoveAccount { address } = take(args)?;
                let account = Identifier::ethereum(&address)?;
                client.remove_account(&account, &*self.signer).await?;
            }
        }
        Ok(Value::Null)
    }

    async fn archive(&self, name: &str, args: Archive) -> Done {
        let key = ArchiveKey::try_from(&bytes_of(&args.key)?[..])?;
        if name == "exportArchive" {
            let options = ArchiveOptions::everything();
            self.client
                .create_archive_file(&args.path, key, options)
                .await?;
        } else {
            self.client.import_archive_file(&args.path, key).await?;
        }
        Ok(Value::Null)
    }
}

/// Encrypts a file for a web server.
fn seal(args: Seal) -> Done {
    let file = Attachment::try_from(args.attachment)?;
    let sealed = EncryptedAttachment::seal(&file, &mut rand::rng())?;
    let remote = PlainRemote::from(&sealed.at(args.url));
    Ok(json!({ "payload": hex_of(&sealed.payload), "remote": remote }))
}

/// Opens such a file.
fn unseal(args: Unseal) -> Done {
    let remote = RemoteAttachment::try_from(args.remote)?;
    let file = open_attachment(&remote, &bytes_of(&args.payload)?)?;
    Ok(serde_json::to_value(PlainAttachment::from(&file))?)
}

fn take<T: DeserializeOwned>(args: Value) -> Result<T, Failure> {
    Ok(serde_json::from_value(args)?)
}

fn inboxes(texts: &[String]) -> Result<Vec<InboxId>, Failure> {
    let parsed = texts.iter().map(|text| text.parse());
    Ok(parsed.collect::<Result<_, _>>()?)
}

fn installation(text: &str) -> Result<InstallationKey, Failure> {
    Ok(InstallationKey::try_from(&bytes_of(text)?[..])?)
}

fn sorted(all: impl IntoIterator<Item = impl ToString>) -> Value {
    let mut texts: Vec<_> = all.into_iter().map(|one| one.to_string()).collect();
    texts.sort_unstable();
    json!(texts)
}

const fn kind(kind: ConversationKind) -> &'static str {
    match kind {
        ConversationKind::Dm => "dm",
        _ => "group",
    }
}

fn consent(number: u8) -> Result<ConsentState, Failure> {
    ConsentState::from_number(number)
        .ok_or_else(|| format!("no consent has the number {number}").into())
}

#[derive(Deserialize)]
struct Reachable {
    addresses: Vec<String>,
}

#[derive(Deserialize)]
struct WithInbox {
    inbox: String,
}

#[derive(Deserialize)]
struct Inboxes {
    inboxes: Vec<String>,
}

#[derive(Deserialize)]
struct NewGroup {
    inboxes: Vec<String>,
    #[serde(default)]
    options: GroupParticulars,
}

#[derive(Deserialize)]
struct Say {
    text: String,
}

#[derive(Deserialize)]
struct SayAll {
    texts: Vec<String>,
}

#[derive(Deserialize)]
struct Send {
    content: Value,
}

#[derive(Deserialize)]
struct React {
    to: Target,
    emoji: String,
    #[serde(default)]
    removed: bool,
}

#[derive(Deserialize)]
struct Answer {
    to: Target,
    text: String,
}

#[derive(Deserialize)]
struct DeleteMessage {
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    name: Option<String>,
    description: Option<String>,
    image_url: Option<String>,
    app_data: Option<String>,
}

#[derive(Deserialize)]
struct Permit {
    what: String,
    #[serde(rename = "to")]
    who: String,
}

#[derive(Deserialize)]
struct Disappear {
    settings: Option<Disappearing>,
}

#[derive(Deserialize)]
struct Wanted {
    id: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    count: usize,
    seconds: Option<f64>,
}

impl Wanted {
    fn lets(&self, entry: &Value) -> bool {
        match &self.kind {
            Some(kind) => entry["kind"] == kind.as_str(),
            None => {
                entry["kind"] == "message"
                    && entry["type"] == "text"
                    && self
                        .id
                        .as_ref()
                        .is_none_or(|id| entry["conversation"] == id.as_str())
            }
        }
    }
}

#[derive(Deserialize)]
struct Allow {
    inbox: String,
    state: u8,
}

#[derive(Deserialize)]
struct AllowConversation {
    state: u8,
}

#[derive(Deserialize)]
struct WhichInbox {
    /// The own one, without.
    inbox: Option<String>,
}

#[derive(Deserialize)]
struct RevokeFor {
    key: String,
    inbox: String,
    installations: Vec<String>,
}

#[derive(Deserialize)]
struct AddAccount {
    key: String,
}

#[derive(Deserialize)]
struct RemoveAccount {
    address: String,
}

#[derive(Deserialize)]
struct Archive {
    path: PathBuf,
    key: String,
}

#[derive(Deserialize)]
struct Seal {
    attachment: PlainAttachment,
    url: String,
}

#[derive(Deserialize)]
struct Unseal {
    remote: PlainRemote,
    payload: String,
}
