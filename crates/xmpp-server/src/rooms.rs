//! Rooms at `conference.<domain>` (XEP-0045): the room machine with its storage and its archive.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use folkmoot_store::{
    StoreError,
    xmpp::{
        ArchivePlace, ArchiveQuery, NewEntry, PageAnswer, RoomAffiliation, RoomMember, RoomRecord,
        RoomSettings, RoomSubject, Secret, StanzaKind,
    },
};
use folkmoot_xmpp::{
    disco::{self, Identity, Info},
    mam,
    moment::Moment,
    muc::{self, Affiliation, Config, Environment, MUC, Member, Output, Past, Room, Subject},
    stanza::{Condition, IqType, PresenceType, Stanza, StanzaError, Type},
    vcard,
};
use jid::{BareJid, Jid};
use parking_lot::Mutex;
use xmpp_parsers::data_forms::DataForm;

use crate::{
    archive,
    router::{Router, archive_id, failed, now},
};

/// What stands before a domain for its rooms.
const SERVICE: &str = "conference.";
/// Rooms in one answer.
const LISTED: usize = 500;

/// The rooms in use.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Mutex<HashMap<BareJid, Arc<Place>>>);

/// A room's place: empty before it was looked for, and after its end.
type Place = tokio::sync::Mutex<Option<Room>>;

/// Whether a domain is that of rooms of a domain that is served.
pub(crate) fn is_service(router: &Router, domain: &str) -> bool {
    let mut domains = router.options.domains.iter();
    domain
        .strip_prefix(SERVICE)
        .is_some_and(|of| domains.any(|served| served.as_str() == of))
}

/// The address of a domain's rooms.
pub(crate) fn service_of(domain: &str) -> String {
    format!("{SERVICE}{domain}")
}

/// Carries out a stanza for a room, an occupant, or the service itself.
pub(crate) async fn handle(router: &Router, stanza: Stanza) {
    let Some(to) = stanza.to.clone() else {
        return;
    };
    if to.node().is_none() {
        if let Some(answer) = answer_for_service(router, &stanza, &to).await {
            send(router, answer).await;
        }
        return;
    }
    let address = to.to_bare();
    let place = Arc::clone(router.rooms.0.lock().entry(address.clone()).or_default());
    let mut room = place.lock().await;
    if let Err(error) = in_room(router, &mut room, &address, &stanza).await
        && let Some(refused) = stanza.error(&error)
    {
        send(router, refused).await;
    }
    let is_over = match &*room {
        None => true,
        Some(open) => open.occupants().is_empty(),
    };
    if !is_over {
        return;
    }
    // What outlives its last occupant is read from the store when the next one comes.
    if room.as_ref().is_some_and(Room::is_over) {
        forget(router, &address).await;
    }
    *room = None;
    drop(room);
    let mut rooms = router.rooms.0.lock();
    let is_unused = rooms
        .get(&address)
        .is_some_and(|found| Arc::ptr_eq(found, &place) && Arc::strong_count(found) == 2);
    if is_unused {
        rooms.remove(&address);
    }
}

async fn in_room(
    router: &Router,
    place: &mut Option<Room>,
    address: &BareJid,
    stanza: &Stanza,
) -> Result<(), StanzaError> {
    if place.is_none() {
        *place = stored(router, address)
            .await
            .map_err(|cause| failed(&cause))?;
    }
    let enters = stanza.kind == Type::Presence(PresenceType::Available)
        && stanza.to.as_ref().is_some_and(|to| to.resource().is_some())
        && stanza.has(MUC, "x");
    if place.is_none() && enters {
        let founder = stanza
            .from
            .as_ref()
            .map(Jid::to_bare)
            .ok_or(Condition::BadRequest)?;
        if !router.serves(founder.domain()) {
            return Err(StanzaError::new(Condition::NotAllowed)
                .text("only users of this server make rooms"));
        }
        *place = Some(Room::found(
            address.clone(),
            Config::default(),
            rand::random(),
            founder,
        ));
    }
    let Some(room) = place else {
        return Err(StanzaError::new(Condition::ItemNotFound).text("there is no such room"));
    };
    if let Some(answers) = asked(router, room, stanza).await? {
        for answer in answers {
            send(router, answer).await;
        }
        return Ok(());
    }
    let mut new_id = || archive_id().to_string();
    let outputs = room.handle(
        stanza.clone(),
        &mut Environment {
            now: now(),
            new_id: &mut new_id,
        },
    );
    for output in outputs {
        perform(router, place, address, output)
            .await
            .map_err(|cause| failed(&cause))?;
    }
    Ok(())
}

/// Does what a room asks for.
async fn perform(
    router: &Router,
    place: &mut Option<Room>,
    address: &BareJid,
    output: Output,
) -> Result<(), StoreError> {
    let Some(room) = place else {
        // After its end it still says goodbye.
        match output {
            Output::Send(stanza) => send(router, stanza).await,
            Output::SendToAll(stanza, receivers) => send_to_all(router, &stanza, receivers).await,
            _ => {}
        }
        return Ok(());
    };
    let is_kept = room.config().persistent;
    match output {
        Output::Send(stanza) => send(router, stanza).await,
        Output::SendToAll(stanza, receivers) => send_to_all(router, &stanza, receivers).await,
        Output::Archive { id, message } => {
            let Ok(id) = id.parse() else {
                return Ok(());
            };
            let with = message
                .from
                .clone()
                .unwrap_or_else(|| address.clone().into());
            let entry = NewEntry {
                owner: address.clone(),
                id,
                with,
                kind: StanzaKind::Groupchat,
                stanza: written(&message).into(),
                at: now().0,
                origin_id: message.id,
            };
            router.store.append_to_archives(vec![entry]).await?;
        }
        Output::Bury { id, tombstone } => {
            if let Ok(id) = id.parse() {
                let bytes = written(&tombstone).into();
                let _found = router.store.replace_archived(address, id, bytes).await?;
            }
        }
        // Devices are not woken yet.
        Output::Missed(..) => {}
        Output::StoreConfig if is_kept => {
            router.store.save_room(address, settings(room)).await?;
            let members = room
                .members()
                .iter()
                .filter_map(|(account, member)| kept(account, member));
            let _known = router
                .store
                .put_room_members(address, members.collect())
                .await?;
            let subject = room.subject().map(kept_subject);
            let _known = router.store.set_room_subject(address, subject).await?;
        }
        Output::StoreAffiliation(account) if is_kept => {
            let member = room
                .members()
                .get(&account)
                .and_then(|member| kept(&account, member));
            match member {
                Some(member) => {
                    let _known = router.store.put_room_members(address, vec![member]).await?;
                }
                None => {
                    router
                        .store
                        .remove_room_members(address, vec![account])
                        .await?
                }
            }
        }
        Output::StoreSubject if is_kept => {
            let subject = room.subject().map(kept_subject);
            let _known = router.store.set_room_subject(address, subject).await?;
        }
        Output::StoreConfig | Output::StoreAffiliation(_) | Output::StoreSubject => {}
        Output::Destroyed => {
            forget(router, address).await;
            *place = None;
        }
    }
    Ok(())
}

async fn send_to_all(router: &Router, stanza: &Stanza, receivers: Vec<Jid>) {
    for to in receivers {
        send(router, stanza.clone().to(to)).await;
    }
}

/// Sends a stanza of a room. What is for a room waits until this one has done its work.
async fn send(router: &Router, stanza: Stanza) {
    let is_inside = stanza
        .to
        .as_ref()
        .is_some_and(|to| is_service(router, to.domain().as_str()));
    if is_inside {
        router.later(stanza);
    } else {
        Box::pin(router.route(stanza)).await;
    }
}

/// Removes everything of a room, its archive included.
async fn forget(router: &Router, address: &BareJid) {
    // A room that was never stored has an archive, too.
    let done = async {
        router
            .store
            .expire_archives(Some(address), i64::MAX)
            .await?;
        router.store.delete_room(address).await
    };
    if let Err(cause) = done.await {
        tracing::error!(%cause, "a room that ended could not be removed");
    }
}

/// What a room is asked that the room itself does not answer: what it is, and its archive.
async fn asked(
    router: &Router,
    room: &Room,
    stanza: &Stanza,
) -> Result<Option<Vec<Stanza>>, StanzaError> {
    let Type::Iq(kind) = stanza.kind else {
        return Ok(None);
    };
    let (Some(from), Some(to), Some(child)) = (&stanza.from, &stanza.to, stanza.payload()) else {
        return Ok(None);
    };
    if to.resource().is_some() || !kind.is_request() {
        return Ok(None);
    }
    let payload = stanza.open(child).map_err(|_| Condition::BadRequest)?;
    let namespace = payload.name.namespace.as_str();
    match (namespace, kind) {
        (disco::INFO, IqType::Get) => {
            Ok(Some(vec![stanza.result().with_all(&info(room).payload())]))
        }
        (disco::ITEMS, IqType::Get) => Ok(Some(vec![stanza.result().with_all(&disco::items(
            None,
            &[],
            None,
        ))])),
        (mam::NS, _) => {
            if !room.may_read_archive(&from.to_bare()) {
                return Err(
                    StanzaError::new(Condition::Forbidden).text("who may not enter may not read")
                );
            }
            let answers = archive::of(router, room.address(), from, stanza, kind, &payload).await?;
            Ok(Some(answers))
        }
        (vcard::NS, IqType::Get) => {
            let card = crate::vcard::read(router, room.address()).await?;
            Ok(Some(vec![stanza.result().with_all(&card)]))
        }
        _ => Ok(None),
    }
}

/// What a room is.
fn info(room: &Room) -> Info {
    let config = room.config();
    let mut features = vec![
        MUC,
        disco::INFO,
        mam::NS,
        "urn:xmpp:mam:2#extended",
        muc::STANZA_ID,
        muc::OCCUPANT_ID,
        vcard::NS,
        "urn:xmpp:ping",
        "urn:xmpp:message-moderate:1",
        "http://jabber.org/protocol/muc#stable_id",
        "http://jabber.org/protocol/muc#self-ping-optimization",
    ];
    features.extend(config.features());
    Info::of(Identity::new("conference", "text", &config.name)).with_features(features)
}

/// What the service itself is asked.
async fn answer_for_service(router: &Router, stanza: &Stanza, to: &Jid) -> Option<Stanza> {
    let Type::Iq(kind) = stanza.kind else {
        return None;
    };
    if !kind.is_request() {
        return None;
    }
    let payload = stanza
        .payload()
        .map(|child| child.name.namespace.as_str().to_owned());
    match (payload.as_deref(), kind) {
        (Some(disco::INFO), IqType::Get) => {
            let features = [MUC, disco::INFO, disco::ITEMS, "urn:xmpp:ping", mam::NS];
            let info =
                Info::of(Identity::new("conference", "text", "Rooms")).with_features(features);
            Some(stanza.result().with_all(&info.payload()))
        }
        (Some(disco::ITEMS), IqType::Get) => match listed(router, to).await {
            Ok(rooms) => Some(stanza.result().with_all(&disco::items(None, &rooms, None))),
            Err(cause) => stanza.error(&failed(&cause)),
        },
        (Some("urn:xmpp:ping"), IqType::Get) => Some(stanza.result()),
        _ => stanza.error(&Condition::ServiceUnavailable.into()),
    }
}

/// The rooms that are public.
async fn listed(router: &Router, service: &Jid) -> Result<Vec<disco::Item>, StoreError> {
    let mut rooms: BTreeMap<BareJid, String> = BTreeMap::new();
    for (address, config) in router
        .store
        .rooms(service.domain().as_str(), None, LISTED)
        .await?
    {
        let config = read_config(&config);
        if config.public {
            rooms.insert(address, config.name);
        }
    }
    let open: Vec<Arc<Place>> = router.rooms.0.lock().values().cloned().collect();
    for place in open.into_iter().take(LISTED) {
        // A room that is at work is told of the next time.
        let Ok(room) = place.try_lock() else {
            continue;
        };
        let Some(room) = room
            .as_ref()
            .filter(|room| room.address().domain() == service.domain())
        else {
            continue;
        };
        if room.config().public {
            rooms.insert(room.address().clone(), room.config().name.clone());
        }
    }
    Ok(rooms
        .into_iter()
        .map(|(address, name)| disco::Item {
            name: (!name.is_empty()).then_some(name),
            ..disco::Item::at(address)
        })
        .collect())
}

/// A room as it was stored, with its newest messages.
async fn stored(router: &Router, address: &BareJid) -> Result<Option<Room>, StoreError> {
    let Some(RoomRecord {
        settings,
        subject,
        members,
    }) = router.store.room(address).await?
    else {
        return Ok(None);
    };
    let config = read_config(&settings.config);
    let query = ArchiveQuery {
        filter: Default::default(),
        place: ArchivePlace::End,
        max: config.history as usize,
        max_bytes: 1 << 20,
        count: false,
    };
    let past = match router.store.archive_page(address, query).await? {
        PageAnswer::Page(page) if config.history > 0 => {
            let read = page.entries.iter().filter_map(archive::read);
            read.map(|found| Past {
                at: found.at,
                message: found.message,
            })
            .collect()
        }
        _ => Vec::new(),
    };
    let members = members.into_iter().map(|member| {
        let affiliation = match member.affiliation {
            RoomAffiliation::Owner => Affiliation::Owner,
            RoomAffiliation::Admin => Affiliation::Admin,
            RoomAffiliation::Member => Affiliation::Member,
            RoomAffiliation::Outcast => Affiliation::Outcast,
        };
        let known = Member {
            affiliation,
            nick: member.nick,
            reason: member.reason,
        };
        (member.account, known)
    });
    let subject = subject.map(|subject| Subject {
        xml: subject.xml,
        from: subject.from,
        at: Moment(subject.at),
    });
    let secret = settings.secret.0.try_into().unwrap_or_default();
    Ok(Some(Room::restored(
        address.clone(),
        config,
        secret,
        members.collect(),
        subject,
        past,
    )))
}

fn settings(room: &Room) -> RoomSettings {
    let form = minidom::Element::from(room.config().form(&[], &[]));
    let mut config = Vec::new();
    if let Err(cause) = form.write_to(&mut config) {
        tracing::error!(%cause, "a room's configuration cannot be written");
    }
    RoomSettings {
        config: config.into(),
        secret: Secret(room.secret().to_vec()),
        created: now().0,
    }
}

/// A configuration as it was stored; the defaults where it cannot be read.
fn read_config(stored: &[u8]) -> Config {
    let form = minidom::Element::from_reader(stored).ok();
    let form = form.and_then(|form| DataForm::try_from(form).ok());
    form.and_then(|form| Config::default().with(&form).ok())
        .unwrap_or_default()
}

fn kept(account: &BareJid, member: &Member) -> Option<RoomMember> {
    let affiliation = match member.affiliation {
        Affiliation::Owner => RoomAffiliation::Owner,
        Affiliation::Admin => RoomAffiliation::Admin,
        Affiliation::Member => RoomAffiliation::Member,
        Affiliation::Outcast => RoomAffiliation::Outcast,
        Affiliation::None => return None,
    };
    Some(RoomMember {
        account: account.clone(),
        affiliation,
        nick: member.nick.clone(),
        reason: member.reason.clone(),
        extra: bytes::Bytes::new(),
    })
}

fn kept_subject(subject: &Subject) -> RoomSubject {
    RoomSubject {
        xml: subject.xml.clone(),
        from: subject.from.clone(),
        at: subject.at.0,
    }
}

fn written(message: &Stanza) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write(&mut bytes);
    bytes
}
