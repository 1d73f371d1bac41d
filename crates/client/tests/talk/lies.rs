//! A node that lies to some: nobody panics, nobody takes a wrong state for the group's without
//! saying so, and when the node is honest again the conversation goes on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use folkmoot_client::{
    Background, Client, Conversation, ConversationState, DeviceSync, Error, StreamOptions,
};
use folkmoot_testkit::{Lie, LyingNode};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::people::{
    Generation, World, assert_same_epoch, both_generations, group, soon, synced, text, texts,
    wallet,
};

both_generations!(
    a_commit_that_never_comes_is_told,
    who_asks_is_not_misled_for_good,
    who_listens_is_not_misled_for_good,
    what_is_lost_on_a_stream_is_asked_for,
);

/// How people hear what is new.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hearing {
    /// They ask.
    Asking,
    /// They have a stream open.
    Listening,
}

/// A client that hears of the world through a node that lies.
async fn misled(world: &World, person: u8, seed: u64) -> (Client, Arc<LyingNode>) {
    let node = LyingNode::new(world.network(), seed);
    let client = Client::builder()
        .custom_network(Arc::clone(&node) as _)
        .device_sync(DeviceSync::Off)
        .background(Background::Off);
    (client.create(&wallet(person)).await.unwrap(), node)
}

/// Alice's epochs: what everybody who is in one of them must agree on.
async fn note_epoch(hers: &mut Conversation, epochs: &mut BTreeMap<u64, Vec<u8>>) {
    hers.sync().await.unwrap();
    hers.refresh().await.unwrap();
    epochs.insert(hers.epoch(), hers.epoch_authenticator().await.unwrap());
    for entry in hers.commit_log().await.unwrap() {
        if entry.result == 1 {
            epochs.insert(entry.epoch, entry.authenticator);
        }
    }
}

/// Two people who are lied to, and one who is not, for `steps` steps.
async fn a_life_among_lies(
    world: &World,
    hearing: Hearing,
    seed: u64,
    lies: &[(Lie, u32)],
    steps: u32,
) {
    let alice = world.client(1).await;
    let (bob, bobs_node) = misled(world, 2, seed).await;
    let (carol, carols_node) = misled(world, 3, seed + 1000).await;
    let mut hers = group(&alice, &[&bob, &carol]).await;
    let elsewhere = group(&alice, &[&bob]).await;
    let mut epochs = BTreeMap::new();
    note_epoch(&mut hers, &mut epochs).await;
    for node in [&bobs_node, &carols_node] {
        for (lie, percent) in lies {
            node.lie(*lie, *percent);
        }
    }
    let mut streams = Vec::new();
    if hearing == Hearing::Listening {
        for client in [&bob, &carol] {
            let stream = client.conversations();
            let stream = stream.stream_all_messages(StreamOptions::default());
            streams.push(stream.await.unwrap());
        }
    }
    let mut random = StdRng::seed_from_u64(seed);
    for step in 0..steps {
        // Whoever is lied to may fail, in words; they may not be wrong without knowing.
        let misled = if random.random_range(0..2) == 0 {
            &bob
        } else {
            &carol
        };
        match random.random_range(0..8) {
            0 | 1 => {
                let text = format!("{seed}: {step}");
                hers.send_text(text).await.unwrap();
            }
            2 => hers.set_name(format!("{seed}: {step}")).await.unwrap(),
            3 => drop(elsewhere.send_text("elsewhere").await.unwrap()),
            4 => in_words(misled.conversations().sync_all(&[]).await),
            5 => {
                if let Ok(theirs) = misled.conversations().get(hers.id()).await {
                    in_words(theirs.send_text(format!("{seed}: {step}, misled")).await);
                }
            }
            6 => {
                if let Ok(mut theirs) = misled.conversations().get(hers.id()).await {
                    in_words(theirs.set_description(format!("{seed}: {step}")).await);
                }
            }
            _ => {
                if let Ok(theirs) = misled.conversations().get(hers.id()).await {
                    in_words(theirs.sync().await);
                }
            }
        }
        note_epoch(&mut hers, &mut epochs).await;
    }
    let told_on_streams = |(lie, _): &(Lie, u32)| {
        let lies = [
            Lie::Withhold,
            Lie::Replay,
            Lie::Swap,
            Lie::StepBack,
            Lie::Garbage,
        ];
        lies.contains(lie)
    };
    if hearing == Hearing::Listening && lies.iter().any(told_on_streams) {
        soon(async {
            while bobs_node.told_on_streams().is_empty() {
                hers.send_text("lie to him").await.unwrap();
            }
        })
        .await;
    }
    drop(streams);
    let misled = [(&bob, &bobs_node), (&carol, &carols_node)];
    if lies.len() < Lie::ALL.len() {
        for (number, (lie, _)) in (10..).zip(lies) {
            hear(world, &mut hers, misled, *lie, number).await;
        }
    }
    let told = misled.iter().map(|(_, node)| node.told().len());
    assert_ne!(told.sum::<usize>(), 0, "seed {seed}: nobody lied");
    note_epoch(&mut hers, &mut epochs).await;
    for node in [&bobs_node, &carols_node] {
        node.become_honest();
    }

    // Honest again: what is behind catches up, and who parted hears of it.
    for name in ["one", "two"] {
        for client in [&bob, &carol] {
            in_words(client.conversations().sync_all(&[]).await);
        }
        hers.sync().await.unwrap();
        hers.set_name(name).await.unwrap();
        hers.send_text(format!("honest {name}")).await.unwrap();
    }
    note_epoch(&mut hers, &mut epochs).await;
    for client in [&bob, &carol] {
        // The first look may find that something is to be sent again, the second is calm.
        let theirs = synced(client, hers.id()).await;
        let theirs = synced(client, theirs.id()).await;
        let authenticator = theirs.epoch_authenticator().await.unwrap();
        match theirs.state() {
            ConversationState::Active => {
                let said = texts(&theirs).await;
                assert!(
                    said.contains(&"honest two".to_owned()),
                    "seed {seed}: {said:?}"
                );
                hers.sync().await.unwrap();
                note_epoch(&mut hers, &mut epochs).await;
                let epoch = theirs.epoch();
                assert_eq!(
                    epochs.get(&epoch),
                    Some(&authenticator),
                    "seed {seed}: epoch {epoch} is not the group's, and nobody says so"
                );
            }
            trouble => {
                assert!(theirs.trouble().is_some(), "seed {seed}: {trouble:?}");
                // There is a way back: the super admin adds the installation again.
                hers.readd_installations([client.installation_key()])
                    .await
                    .unwrap();
                let theirs = synced(client, hers.id()).await;
                assert_eq!(theirs.state(), ConversationState::Active, "seed {seed}");
                theirs.send_text("back").await.unwrap();
            }
        }
    }
    hers.send_text("the end").await.unwrap();
    // What was begun among lies comes to its end first.
    for _ in 0..4 {
        synced(&bob, hers.id()).await;
        synced(&carol, hers.id()).await;
        note_epoch(&mut hers, &mut epochs).await;
    }
    let bobs = synced(&bob, hers.id()).await;
    let carols = synced(&carol, hers.id()).await;
    for theirs in [&bobs, &carols] {
        let said = texts(theirs).await;
        assert!(
            said.contains(&"the end".to_owned()),
            "seed {seed}: {said:?}"
        );
    }
    assert_same_epoch(&[&hers, &bobs, &carols]).await;
}

/// Goes on until one of those who are misled was told this lie: their lives may not have had an
/// occasion for it. `number` is that of somebody who is a stranger to them.
async fn hear(
    world: &World,
    hers: &mut Conversation,
    misled: [(&Client, &Arc<LyingNode>); 2],
    lie: Lie,
    number: u8,
) {
    let told = |(_, node): &(&Client, &Arc<LyingNode>)| node.told().contains_key(&lie);
    for round in 0..20 {
        if misled.iter().any(told) {
            return;
        }
        let (client, node) = misled[round % 2];
        node.lie_once(lie);
        in_words(occasion(world, hers, client, lie, number).await);
        let there = client.conversations().get(hers.id()).await;
        if there.is_ok_and(|theirs| theirs.state() != ConversationState::Active) {
            // Who is out asks for nothing.
            hers.sync().await.unwrap();
            hers.readd_installations([client.installation_key()])
                .await
                .unwrap();
            in_words(client.conversations().sync_all(&[]).await);
        }
    }
    assert!(misled.iter().any(told), "nobody told {lie:?}");
}

/// An occasion to tell `client` this lie.
async fn occasion(
    world: &World,
    hers: &mut Conversation,
    client: &Client,
    lie: Lie,
    number: u8,
) -> Result<(), Error> {
    let mut theirs = client.conversations().get(hers.id()).await?;
    match lie {
        Lie::ForgeIdentity | Lie::HideIdentity | Lie::OtherKeyPackage => {
            let stranger = world.client(number).await.inbox_id();
            // A second one, so that there may be another one's key package.
            let other = world.client(number + 100).await.inbox_id();
            in_words(theirs.add_members([stranger, other]).await);
            hers.sync().await?;
            let members = hers.members().await?.into_iter();
            let newcomers = members.map(|member| member.inbox_id);
            let newcomers = newcomers.filter(|inbox| [stranger, other].contains(inbox));
            let newcomers: Vec<_> = newcomers.collect();
            if !newcomers.is_empty() {
                hers.remove_members(newcomers).await?;
            }
        }
        Lie::LoseBefore | Lie::LoseAfter | Lie::Swallow => {
            theirs.send_text("into the dark").await?;
        }
        // About what is read, two at a time.
        _ => {
            hers.send_text("look").await?;
            hers.send_text("here").await?;
            theirs.sync().await?;
        }
    }
    Ok(())
}

/// An error has words; there is none without.
fn in_words<T>(result: Result<T, Error>) {
    if let Err(cause) = result {
        assert!(!cause.to_string().is_empty());
    }
}

/// Every kind of lie at once.
const ALL_LIES: [(Lie, u32); 13] = {
    let mut all = [(Lie::Drop, 8); 13];
    let mut at = 0;
    while at < all.len() {
        all[at].0 = Lie::ALL[at];
        at += 1;
    }
    all
};

/// A longer run: FOLKMOOT_LIES=100.
fn seeds(usual: u64) -> u64 {
    let seeds = std::env::var("FOLKMOOT_LIES").ok();
    seeds
        .and_then(|number| number.parse().ok())
        .unwrap_or(usual)
}

async fn who_asks_is_not_misled_for_good(world: World) {
    for seed in 0..seeds(2) {
        a_life_among_lies(&world.another().await, Hearing::Asking, seed, &ALL_LIES, 25).await;
    }
}

async fn who_listens_is_not_misled_for_good(world: World) {
    for seed in 500..500 + seeds(2) {
        let world = world.another().await;
        a_life_among_lies(&world, Hearing::Listening, seed, &ALL_LIES, 20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_kind_of_lie_at_a_time_is_survived() {
    let kinds = [
        [Lie::Drop, Lie::Withhold],
        [Lie::Reorder, Lie::Replay],
        [Lie::Swap, Lie::StepBack],
        [Lie::Garbage, Lie::OtherKeyPackage],
        [Lie::ForgeIdentity, Lie::HideIdentity],
        [Lie::LoseAfter, Lie::Swallow],
        [Lie::LoseBefore, Lie::Withhold],
    ];
    let all: BTreeSet<Lie> = kinds.into_iter().flatten().collect();
    assert_eq!(all, BTreeSet::from(Lie::ALL), "no kind is left out");
    for (seed, kinds) in (100..).zip(kinds) {
        let (generation, hearing) = match seed % 4 {
            0 => (Generation::V3, Hearing::Asking),
            1 => (Generation::D14n, Hearing::Listening),
            2 => (Generation::V3, Hearing::Listening),
            _ => (Generation::D14n, Hearing::Asking),
        };
        let world = World::new(generation).await;
        a_life_among_lies(&world, hearing, seed, &kinds.map(|lie| (lie, 30)), 15).await;
    }
}

/// A commit does not come down the stream, and what is of the next epoch does.
async fn what_is_lost_on_a_stream_is_asked_for(world: World) {
    let alice = world.client(1).await;
    let (bob, node) = misled(&world, 2, 7).await;
    let mut hers = group(&alice, &[&bob]).await;
    let mut heard = bob
        .conversations()
        .stream_all_messages(StreamOptions {
            without_changes: true,
            ..StreamOptions::default()
        })
        .await
        .unwrap();
    hers.send_text("all is well").await.unwrap();
    assert_eq!(
        text(&soon(heard.next()).await.unwrap()).unwrap(),
        "all is well"
    );
    node.lie_once(Lie::Withhold);
    hers.set_name("lost on the way").await.unwrap();
    soon(async {
        while node.told_on_streams().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    hers.send_text("in the next epoch").await.unwrap();
    let next = soon(heard.next()).await.unwrap();
    assert_eq!(text(&next).unwrap(), "in the next epoch");
    let his = bob.conversations().get(hers.id()).await.unwrap();
    assert_eq!(his.name(), "lost on the way");
    assert_eq!(his.state(), ConversationState::Active);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_the_node_held_back_is_asked_for_again() {
    let world = World::new(Generation::V3).await;
    let alice = world.client(1).await;
    let (bob, node) = misled(&world, 2, 7).await;
    let mut hers = group(&alice, &[&bob]).await;
    synced(&bob, hers.id()).await;
    hers.set_name("held back").await.unwrap();
    hers.send_text("in the next epoch").await.unwrap();
    // The page has the commit and the text: the first of them is left out.
    node.lie_once(Lie::Drop);
    let his = synced(&bob, hers.id()).await;
    assert_eq!(node.told()[&Lie::Drop], 1);
    assert_eq!(his.name(), "held back");
    assert_eq!(his.state(), ConversationState::Active);
    assert_eq!(texts(&his).await, ["in the next epoch"]);
    assert_same_epoch(&[&hers, &his]).await;
}

async fn a_commit_that_never_comes_is_told(world: World) {
    let alice = world.client(1).await;
    let (bob, node) = misled(&world, 2, 7).await;
    let mut hers = group(&alice, &[&bob]).await;
    synced(&bob, hers.id()).await;
    hers.set_name("held back").await.unwrap();
    hers.send_text("in the next epoch").await.unwrap();
    node.lie_once(Lie::Drop);
    node.lie_once(Lie::Drop);
    node.lie_once(Lie::Drop);
    let his = synced(&bob, hers.id()).await;
    assert!(matches!(his.state(), ConversationState::Forked(_)));
    assert!(his.trouble().unwrap().contains("parted"));
    // Added again, he goes on.
    hers.readd_installations([bob.installation_key()])
        .await
        .unwrap();
    let his = synced(&bob, hers.id()).await;
    assert_eq!(his.state(), ConversationState::Active);
    hers.send_text("welcome back").await.unwrap();
    let his = synced(&bob, his.id()).await;
    assert_eq!(texts(&his).await, ["welcome back"]);
}
