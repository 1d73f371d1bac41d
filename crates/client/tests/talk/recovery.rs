//! Ways back: for an installation that MLS locked out, and for one that parted from its group.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use folkmoot_client::{
    Client, Clock, Conversation, ConversationError, ConversationState, Error, Lookup, ManualClock,
    Place, SendOptions, network::OutgoingCommitLogEntry,
};
use folkmoot_conversation::{
    ConsentEntity, ConsentState,
    commit_log::{CommitLogEntry, CommitResult, ForkState},
    content::Content,
    context::AdminChange,
};

use crate::people::{
    Generation, World, assert_same_epoch, both_generations, group, soon, synced, texts,
};

both_generations!(
    a_locked_out_installation_says_so_and_comes_back,
    somebody_trusted_may_add_a_locked_out_installation_again,
    of_several_who_are_asked_one_adds_an_installation_again,
    how_far_others_are_is_known_from_what_they_say,
);

async fn how_far_others_are_is_known_from_what_they_say(world: World) {
    let [alice, bob, carol] = world.clients().await;
    let mut picnic = group(&alice, &[&bob, &carol]).await;
    let bobs = synced(&bob, picnic.id()).await;
    bobs.send_text("here").await.unwrap();
    let spoke = synced(&bob, picnic.id()).await.epoch();
    picnic.sync().await.unwrap();
    picnic.set_name("Picnic").await.unwrap();
    let hers = synced(&alice, picnic.id()).await;
    let standings = hers.standings().await.unwrap();
    let of = |who: &Client| {
        let key = who.installation_key();
        standings
            .iter()
            .find(|one| one.installation == key)
            .unwrap()
    };
    assert_eq!(standings.len(), 3);
    assert!(
        standings
            .iter()
            .all(|one| one.place == Place::Member && !one.wants_readd)
    );
    assert_eq!(of(&bob).heard.unwrap().epoch, spoke);
    assert_eq!(of(&alice).heard.unwrap().epoch, hers.epoch());
    assert!(spoke < hers.epoch());
    assert_eq!(of(&carol).heard, None);
    assert_eq!(of(&bob).inbox_id, bob.inbox_id());

    // Carol asks to be added again, and nobody who can has heard of it but Alice.
    synced(&carol, picnic.id())
        .await
        .request_readd()
        .await
        .unwrap();
    alice.conversations().sync_all(&[]).await.unwrap();
    soon(async {
        loop {
            let standings = hers.standings().await.unwrap();
            let carols = standings
                .iter()
                .find(|one| one.inbox_id == carol.inbox_id());
            if !carols.unwrap().wants_readd {
                break;
            }
            alice.conversations().sync_all(&[]).await.unwrap();
        }
    })
    .await;
    let second = world.client(2).await;
    alice
        .inbox_states(&[bob.inbox_id()], Lookup::Network)
        .await
        .unwrap();
    let standings = hers.standings().await.unwrap();
    let new = standings
        .iter()
        .find(|one| one.installation == second.installation_key());
    assert_eq!(new.unwrap().place, Place::Missing);
}

async fn of_several_who_are_asked_one_adds_an_installation_again(world: World) {
    let [alice, bob, carol] = world.clients().await;
    let mut picnic = group(&alice, &[&bob, &carol]).await;
    let promote = picnic.change_admins(AdminChange::AddSuperAdmin, carol.inbox_id());
    promote.await.unwrap();
    let carols = synced(&carol, picnic.id()).await;
    carols.send_text("here").await.unwrap();
    picnic.send_text("here too").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    let before = memberships(&synced(&alice, picnic.id()).await).await;
    bobs.request_readd().await.unwrap();
    bobs.request_readd().await.unwrap();
    soon(async {
        for client in [&alice, &carol, &alice, &carol] {
            client.conversations().sync_all(&[]).await.unwrap();
        }
    })
    .await;
    let picnic = synced(&alice, picnic.id()).await;
    let log = picnic.commit_log().await.unwrap();
    assert_eq!(memberships(&picnic).await, before + 1, "{log:#?}");
    let bobs = synced(&bob, picnic.id()).await;
    bobs.send_text("again").await.unwrap();
    let said = texts(&synced(&alice, picnic.id()).await).await;
    assert_eq!(said, ["here", "here too", "again"]);
}

/// How many commits changed who is in.
async fn memberships(conversation: &Conversation) -> usize {
    let log = conversation.commit_log().await.unwrap();
    let applied = log.iter().filter(|entry| entry.result == 1);
    applied.filter(|entry| entry.cause == "Membership").count()
}

const LIFETIME: Duration = Duration::from_secs(84 * 24 * 3600);
/// How much of it is left when it is uploaded: enough to be added in, and no more than a test can
/// wait for. On a slow machine the longer ones are tried too.
const RESTS: [Duration; 3] = [
    Duration::from_secs(6),
    Duration::from_secs(25),
    Duration::from_secs(100),
];

async fn a_locked_out_installation_says_so_and_comes_back(world: World) {
    let [alice, bob] = world.clients().await;
    let mut picnic = group(&alice, &[&bob]).await;
    picnic.send_text("before").await.unwrap();
    synced(&bob, picnic.id()).await;

    let over = add_somebody_who_expires(&world, &mut picnic).await;
    picnic.send_text("during").await.unwrap();
    let left = over.duration_since(SystemTime::now()).unwrap_or_default();
    tokio::time::sleep(left + Duration::from_secs(1)).await;

    // Bob comes to the commit too late: openmls does not take it any more.
    let bobs = synced(&bob, picnic.id()).await;
    assert!(matches!(bobs.state(), ConversationState::NeedsRelink(_)));
    assert!(bobs.trouble().unwrap().contains("expired"));
    assert_eq!(texts(&bobs).await, ["before"]);
    assert!(bobs.send_text("hello?").await.is_err());

    // He asks by himself; Alice's client does it when it hears of it.
    soon(async {
        loop {
            alice.conversations().sync_all(&[]).await.unwrap();
            let bobs = synced(&bob, picnic.id()).await;
            if bobs.state() == ConversationState::Active {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let bobs = synced(&bob, picnic.id()).await;
    bobs.send_text("here again").await.unwrap();
    let hers = synced(&alice, picnic.id()).await;
    assert_eq!(texts(&hers).await, ["before", "during", "here again"]);
    assert_eq!(texts(&bobs).await, ["before", "here again"]);
    assert_same_epoch(&[&hers, &synced(&bob, picnic.id()).await]).await;
}

async fn somebody_trusted_may_add_a_locked_out_installation_again(world: World) {
    let [alice, bob] = world.clients().await;
    let dave = world.client(9).await;
    let mut picnic = group(&alice, &[&bob]).await;
    picnic.send_text("before").await.unwrap();
    synced(&bob, picnic.id()).await;
    let over = add_somebody_who_expires(&world, &mut picnic).await;
    let left = over.duration_since(SystemTime::now()).unwrap_or_default();
    tokio::time::sleep(left + Duration::from_secs(1)).await;
    let bobs = synced(&bob, picnic.id()).await;
    assert!(matches!(bobs.state(), ConversationState::NeedsRelink(_)));

    // Since Bob was locked out, Dave came, who may add him again; for Bob he is a stranger.
    picnic.sync().await.unwrap();
    picnic.add_members([dave.inbox_id()]).await.unwrap();
    let promote = picnic.change_admins(AdminChange::AddSuperAdmin, dave.inbox_id());
    promote.await.unwrap();
    let mut daves = synced(&dave, picnic.id()).await;
    let again = daves.readd_installations([bob.installation_key()]);
    again.await.unwrap();
    bob.conversations().sync_all(&[]).await.unwrap();
    let bobs = bob.conversations().get(picnic.id()).await.unwrap();
    assert!(
        matches!(bobs.state(), ConversationState::NeedsRelink(_)),
        "a stranger who knows the id might have made another group of it"
    );

    // When Bob has said that he trusts Dave, Dave may.
    let trust = (ConsentEntity::Inbox(dave.inbox_id()), ConsentState::Allowed);
    bob.preferences().set_consent([trust]).await.unwrap();
    let again = daves.readd_installations([bob.installation_key()]);
    again.await.unwrap();
    bob.conversations().sync_all(&[]).await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(bobs.state(), ConversationState::Active);
    bobs.send_text("here again").await.unwrap();
    assert_eq!(texts(&bobs).await, ["before", "here again"]);
    let hers = synced(&alice, picnic.id()).await;
    assert_eq!(texts(&hers).await, ["before", "here again"]);
    let daves = synced(&dave, picnic.id()).await;
    assert_same_epoch(&[&hers, &daves, &synced(&bob, picnic.id()).await]).await;
}

/// Adds somebody whose key package is over in a moment. Returns when that is.
pub(crate) async fn add_somebody_who_expires(
    world: &World,
    picnic: &mut Conversation,
) -> SystemTime {
    for (person, rest) in (3..).zip(RESTS) {
        let over = SystemTime::now() + rest;
        // Their clock is far behind, and so is the end of what they upload.
        let behind = u64::try_from((LIFETIME - rest).as_nanos()).unwrap();
        let clock = ManualClock::new(ManualClock::now().now_ns() - behind);
        let carol = world.client_with_clock(person, Arc::new(clock)).await;
        if picnic.add_members([carol.inbox_id()]).await.is_ok() {
            return over;
        }
        assert!(SystemTime::now() >= over, "there was time left");
    }
    panic!("this machine is too slow to add somebody in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parted_installation_finds_out() {
    let world = World::new(Generation::V3).await;
    let [alice, bob] = world.clients().await;
    let mut picnic = group(&alice, &[&bob]).await;
    for name in ["one", "two"] {
        picnic.set_name(name).await.unwrap();
    }
    let bobs = synced(&bob, picnic.id()).await;
    bobs.set_consent(ConsentState::Allowed).await.unwrap();
    // A stranger writes to the log first, and lies: nobody listens to that.
    let commits = bobs.commit_log().await.unwrap();
    let lie = CommitLogEntry {
        group_id: Bytes::copy_from_slice(picnic.id().as_bytes()),
        commit_sequence_id: commits.last().unwrap().sequence,
        last_epoch_authenticator: Bytes::new(),
        result: CommitResult::Applied,
        applied_epoch: 9,
        applied_epoch_authenticator: Bytes::from_static(b"made up"),
    };
    let lie = lie.sign(&[9; 32]);
    let lies = vec![
        OutgoingCommitLogEntry {
            group_id: picnic.id().clone(),
            entry: lie.serialized,
            signature: lie.signature,
            public_key: lie.public_key,
        };
        2
    ];
    bob.network().publish_commit_log(lies).await.unwrap();
    // Nobody else has shared anything yet.
    assert_eq!(
        bobs.compare_commit_logs().await.unwrap(),
        ForkState::Unknown
    );
    assert!(
        alice
            .conversations()
            .look_for_forks()
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(bobs.compare_commit_logs().await.unwrap(), ForkState::InStep);
    assert_eq!(bobs.state(), ConversationState::Active);

    let forge = bob.database().write(|db| {
        let sql = "UPDATE commit_log SET authenticator = x'00'
             WHERE id = (SELECT max(id) FROM commit_log)";
        Ok(db.execute(sql, [])?)
    });
    assert_eq!(forge.await.unwrap(), 1);
    let forked = bob.conversations().look_for_forks().await.unwrap();
    assert_eq!(forked, [picnic.id().clone()]);
    let bobs = bob.conversations().get(picnic.id()).await.unwrap();
    assert!(matches!(bobs.state(), ConversationState::Forked(_)));
    assert!(bobs.trouble().unwrap().contains("added again"));

    // What he says would reach nobody: that is refused, unless he insists.
    let forked = |error: Error| matches!(error, Error::Conversation(ConversationError::Forked(_)));
    assert!(forked(bobs.send_text("to nobody").await.unwrap_err()));
    let to_nobody = Content::text("to nobody");
    let later = bobs.send_optimistic(&to_nobody, SendOptions::default());
    assert!(forked(later.await.unwrap_err()));
    assert!(forked(bobs.clone().set_name("Nobody's").await.unwrap_err()));
    let insisting = SendOptions {
        despite_fork: true,
        ..SendOptions::default()
    };
    bobs.send_with(&Content::text("in spite of it"), insisting)
        .await
        .unwrap();
    assert_eq!(texts(&bobs).await, ["in spite of it"]);

    // The way back, after which the old trouble does not count.
    bobs.request_readd().await.unwrap();
    let bobs = soon(async {
        loop {
            alice.conversations().sync_all(&[]).await.unwrap();
            let bobs = synced(&bob, picnic.id()).await;
            if bobs.state() == ConversationState::Active {
                return bobs;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    picnic.set_name("three").await.unwrap();
    alice.conversations().look_for_forks().await.unwrap();
    let bobs = synced(&bob, bobs.id()).await;
    assert_eq!(bobs.compare_commit_logs().await.unwrap(), ForkState::InStep);
    let bobs = synced(&bob, bobs.id()).await;
    assert_eq!(bobs.state(), ConversationState::Active);
    bobs.send_text("back").await.unwrap();
    let said = texts(&synced(&alice, picnic.id()).await).await;
    assert_eq!(said.last().unwrap(), "back");
}
