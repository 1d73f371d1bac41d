//! What an account asks of its archive (XEP-0313).

use folkmoot_store::xmpp::{
    ArchiveFilter, ArchiveId, ArchivePlace, ArchiveQuery, ArchivedStanza, PageAnswer,
};
use folkmoot_xmpp::{
    mam::{self, Found, Query},
    moment::Moment,
    ns,
    rsm::{PageInfo, Place},
    stanza::{Condition, IqType, Stanza, StanzaError},
    xml::{Element, Limits},
};
use jid::{BareJid, Jid};

use crate::{
    router::{Router, failed},
    session::Session,
};

/// Bytes of stanzas in one page.
const PAGE_BYTES: usize = 1 << 20;

/// Answers a client: the results, then the answer itself.
///
/// # Errors
///
/// What is wrong with the question; `item-not-found` for an id that the archive does not have.
pub(crate) async fn handle(
    session: &Session,
    iq: &Stanza,
    kind: IqType,
    payload: &Element,
) -> Result<Vec<Stanza>, StanzaError> {
    // Whoever reads the archive before coming does not want the same messages once more.
    let resource = session.handle.address.resource().as_str();
    let is_there = session
        .account
        .state()
        .presences
        .priority(resource)
        .is_some();
    if !is_there && kind == IqType::Set {
        let archive = &session.handle.archive;
        archive.store(true, std::sync::atomic::Ordering::Relaxed);
    }
    let to = Jid::from(session.handle.address.clone());
    of(
        &session.router,
        &session.account.address,
        &to,
        iq,
        kind,
        payload,
    )
    .await
}

/// Answers whoever may read the archive of an account or a room.
///
/// # Errors
///
/// As [`handle`].
pub(crate) async fn of(
    router: &Router,
    owner: &BareJid,
    to: &Jid,
    iq: &Stanza,
    kind: IqType,
    payload: &Element,
) -> Result<Vec<Stanza>, StanzaError> {
    match (payload.name.local.as_str(), kind) {
        ("query", IqType::Get) => Ok(vec![iq.result().with_dom(mam::form())]),
        ("query", IqType::Set) => page(router, owner, to, iq, &Query::read(payload)?).await,
        ("metadata", IqType::Get) => {
            let ends = router.store.archive_ends(owner).await;
            let told = match ends.map_err(|cause| failed(&cause))? {
                None => mam::metadata(None),
                Some([start, end]) => {
                    let (first, last) = (start.id.to_string(), end.id.to_string());
                    mam::metadata(Some([(&first, Moment(start.at)), (&last, Moment(end.at))]))
                }
            };
            Ok(vec![iq.result().with_all(&told)])
        }
        _ => Err(Condition::FeatureNotImplemented.into()),
    }
}

async fn page(
    router: &Router,
    owner: &BareJid,
    to: &Jid,
    iq: &Stanza,
    query: &Query,
) -> Result<Vec<Stanza>, StanzaError> {
    let answer = router.store.archive_page(owner, question(query)?).await;
    let page = match answer.map_err(|cause| failed(&cause))? {
        PageAnswer::Page(page) => page,
        PageAnswer::Unknown(id) => return Err(unknown(&id.to_string())),
    };
    let found: Vec<Found> = page.entries.iter().filter_map(read).collect();
    let told = PageInfo {
        first: found.first().map(|first| (first.id.clone(), None)),
        last: found.last().map(|last| last.id.clone()),
        count: page.count,
    };
    let mut answers: Vec<Stanza> = found
        .iter()
        .map(|found| query.result(owner, to, found))
        .collect();
    if query.flip {
        answers.reverse();
    }
    answers.push(iq.result().with_all(&mam::fin(&told, page.complete)));
    Ok(answers)
}

/// A question in the store's words.
fn question(query: &Query) -> Result<ArchiveQuery, StanzaError> {
    let id = |text: &String| text.parse::<ArchiveId>().map_err(|_| unknown(text));
    let filter = &query.filter;
    let place = match &query.page.place {
        Place::Start => ArchivePlace::Start,
        Place::After(after) => ArchivePlace::After(id(after)?),
        Place::Before(before) => ArchivePlace::Before(id(before)?),
        Place::End => ArchivePlace::End,
        Place::Index(index) => ArchivePlace::Index(*index),
    };
    Ok(ArchiveQuery {
        filter: ArchiveFilter {
            with: filter.with.clone(),
            start: filter.start.map(|start| start.0),
            end: filter.end.map(|end| end.0),
            after: filter.after_id.as_ref().map(id).transpose()?,
            before: filter.before_id.as_ref().map(id).transpose()?,
            ids: filter.ids.iter().map(id).collect::<Result<_, _>>()?,
            without_groupchat: false,
        },
        place,
        max: query.page_size(),
        max_bytes: PAGE_BYTES,
        // Counting reads the whole index: only for who wants nothing else.
        count: query.page_size() == 0,
    })
}

fn unknown(id: &str) -> StanzaError {
    StanzaError::new(Condition::ItemNotFound).text(format!("the archive has no message {id:?}"))
}

/// A message as it was stored.
pub(crate) fn read(entry: &ArchivedStanza) -> Option<Found> {
    let element = Element::parse_below(ns::CLIENT, &entry.stanza, Limits::SERVER).ok();
    let message = element.and_then(|element| Stanza::read(element).ok());
    if message.is_none() {
        tracing::error!(id = %entry.id, "a message in an archive cannot be read");
    }
    Some(Found {
        id: entry.id.to_string(),
        at: Moment(entry.at),
        message: message?,
    })
}
