//! Measures the XMPP store's archive: `cargo run --release -p folkmoot-store --example archive -- [FOLDER or URL]`.
//!
//! Each append is a message of 500 bytes in two archives, as between two accounts of one server. A URL
//! (`postgres://…`) measures PostgreSQL; it fills the tables of that database.

#![expect(clippy::print_stdout, reason = "the numbers are what it is for")]

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use folkmoot_store::xmpp::{
    Archive, ArchiveFilter, ArchiveId, ArchivePlace, ArchiveQuery, Housekeeping, NewEntry,
    PageAnswer, StanzaKind, XmppDatabase, XmppFileOptions,
};
use jid::BareJid;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const CALLERS: usize = 64;
const ACCOUNTS: usize = 200;
const APPENDS: usize = 40_000;
const LONG: usize = 100_000;

#[tokio::main]
async fn main() -> Outcome {
    let place = std::env::args().nth(1);
    let (store, _folder) = match place {
        Some(url) if url.starts_with("postgres") => (XmppDatabase::connect(&url, 4).await?, None),
        place => {
            let folder = match place {
                Some(folder) => tempfile::tempdir_in(folder)?,
                None => tempfile::tempdir()?,
            };
            let path = folder.path().join("xmpp.db");
            let store = XmppDatabase::open(path, XmppFileOptions::default())?;
            (store, Some(folder))
        }
    };
    let store = Arc::new(store);

    let began = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for number in 0..APPENDS / CALLERS {
                    let from = (caller * 3 + number) % ACCOUNTS;
                    store.append_to_archives(copies(from)?).await?;
                }
                Outcome::Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    let rate = APPENDS as f64 / began.elapsed().as_secs_f64();
    println!("append of both copies, {CALLERS} callers     {rate:.0} messages/s");

    let alone = repeat(500, async |number| {
        Ok(store.append_to_archives(copies(number % ACCOUNTS)?).await?)
    });
    report("append of both copies, 1 caller", alone.await?);

    let owner = BareJid::new("long@localhost")?;
    for _ in 0..LONG / 500 {
        let entry = |number| entry(&owner, &account(number % ACCOUNTS)?);
        let entries = (0..500).map(entry).collect::<Outcome<_>>()?;
        store.append_to_archives(entries).await?;
    }
    let mut ids = Vec::new();
    let mut place = ArchivePlace::Start;
    let began = Instant::now();
    loop {
        let found = page(&store, &owner, ArchiveFilter::default(), place, 250).await?;
        ids.extend(found);
        match ids.last() {
            Some(last) if ids.len() < LONG => place = ArchivePlace::After(*last),
            _ => break,
        }
    }
    let rate = ids.len() as f64 / began.elapsed().as_secs_f64();
    println!("read {LONG} in pages of 250           {rate:.0} messages/s");

    let at = |number: usize| ids[(number * 7919) % (LONG - 100)];
    let anywhere = repeat(500, async |number| {
        let place = ArchivePlace::After(at(number));
        let filter = ArchiveFilter::default();
        page(&store, &owner, filter, place, 50).await.map(drop)
    });
    report("page of 50 at a random place", anywhere.await?);
    let last = repeat(500, async |_| {
        let filter = ArchiveFilter::default();
        page(&store, &owner, filter, ArchivePlace::End, 50)
            .await
            .map(drop)
    });
    report("the last page of 50", last.await?);
    let with = repeat(200, async |number| {
        let filter = ArchiveFilter {
            with: Some(account(number % ACCOUNTS)?.into()),
            ..ArchiveFilter::default()
        };
        page(&store, &owner, filter, ArchivePlace::End, 50)
            .await
            .map(drop)
    });
    report("the last 50 with 1 of 200 addresses", with.await?);
    store.close_xmpp().await?;
    Ok(())
}

async fn page(
    store: &XmppDatabase,
    owner: &BareJid,
    filter: ArchiveFilter,
    place: ArchivePlace,
    max: usize,
) -> Outcome<Vec<ArchiveId>> {
    let query = ArchiveQuery {
        filter,
        place,
        max,
        max_bytes: usize::MAX,
        count: false,
    };
    match store.archive_page(owner, query).await? {
        PageAnswer::Page(page) => Ok(page.entries.iter().map(|entry| entry.id).collect()),
        PageAnswer::Unknown(id) => Err(format!("{id} is unknown").into()),
    }
}

fn account(number: usize) -> Outcome<BareJid> {
    Ok(BareJid::new(&format!("user{number}@localhost"))?)
}

/// A message from one account to the next one, for both archives.
fn copies(from: usize) -> Outcome<Vec<NewEntry>> {
    let (from, to) = (account(from)?, account((from + 1) % ACCOUNTS)?);
    Ok(vec![entry(&from, &to)?, entry(&to, &from)?])
}

fn entry(owner: &BareJid, with: &BareJid) -> Outcome<NewEntry> {
    let id = ArchiveId(rand::random());
    Ok(NewEntry {
        owner: owner.clone(),
        id,
        with: with.with_resource_str("phone")?.into(),
        kind: StanzaKind::Direct,
        stanza: Bytes::from(vec![b'x'; 500]),
        at: 0,
        origin_id: Some(id.to_string()),
    })
}

async fn repeat(
    times: usize,
    mut action: impl AsyncFnMut(usize) -> Outcome,
) -> Outcome<Vec<Duration>> {
    let mut took = Vec::with_capacity(times);
    for number in 0..times {
        let began = Instant::now();
        action(number).await?;
        took.push(began.elapsed());
    }
    Ok(took)
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at =
        |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)].as_secs_f64() * 1e3;
    println!("{what:<38} p50 {:.3}  p99 {:.3} ms", at(50), at(99));
}
