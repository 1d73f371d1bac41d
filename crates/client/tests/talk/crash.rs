//! What was stored and not sent, or sent and not answered, reaches everybody once.

use std::sync::Arc;

use folkmoot_client::network::{NetworkAddress, NetworkOptions};
use folkmoot_testkit::{Lie, LyingNode};

use crate::people::{Generation, World, assert_same_epoch, group, soon, synced, texts};

fn between(world: &World) -> Arc<LyingNode> {
    let honest = NetworkOptions::new(NetworkAddress::Node(world.node.url.clone()));
    LyingNode::new(honest.network().unwrap(), 1)
}

/// The program ends between storing and sending, between sending and the answer, or believes a node
/// that did not store: after the next start all have the text once, and the change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cut_off_at_any_point_arrives_once() {
    for cut in [Lie::LoseBefore, Lie::LoseAfter, Lie::Swallow] {
        let world = World::new(Generation::V3).await;
        let bob = world.client(2).await;
        let node = between(&world);
        let alice = world.stored_over(1, "alice", Arc::clone(&node) as _).await;
        let picnic = group(&alice, &[&bob]).await;
        let id = picnic.id().clone();
        picnic.send_text("before").await.unwrap();
        picnic.sync().await.unwrap();

        node.lie_once(cut);
        let sent = picnic.send_text("cut off").await;
        assert_eq!(sent.is_ok(), cut == Lie::Swallow, "{cut:?}");
        drop(picnic);
        // Not `close`, which would look after it: the program is gone.
        drop(alice);
        let alice = reopened(&world).await;
        alice.conversations().sync_all(&[]).await.unwrap();
        let hers = synced(&alice, &id).await;
        let his = synced(&bob, &id).await;
        assert_eq!(texts(&his).await, ["before", "cut off"], "{cut:?}");
        assert_eq!(texts(&hers).await, ["before", "cut off"], "{cut:?}");
        drop(hers);
        alice.close().await;

        // The same for a commit.
        let alice = reopened_over(&world, &node).await;
        let mut picnic = alice.conversations().get(&id).await.unwrap();
        let epoch = picnic.epoch();
        node.lie_once(cut);
        let changed = picnic.set_name("Cut off").await;
        drop((picnic, changed));
        drop(alice);
        let alice = reopened(&world).await;
        alice.conversations().sync_all(&[]).await.unwrap();
        let hers = synced(&alice, &id).await;
        let his = synced(&bob, &id).await;
        assert_eq!(his.name(), "Cut off", "{cut:?}");
        assert_eq!(hers.epoch(), epoch + 1, "one commit, {cut:?}");
        assert_same_epoch(&[&hers, &his]).await;
        hers.send_text("after").await.unwrap();
        let said = texts(&synced(&bob, &id).await).await;
        assert_eq!(said, ["before", "cut off", "after"], "{cut:?}");
    }
}

async fn reopened(world: &World) -> folkmoot_client::Client {
    reopened_over(world, &between(world)).await
}

async fn reopened_over(world: &World, node: &Arc<LyingNode>) -> folkmoot_client::Client {
    let opened = async {
        loop {
            let network = Arc::clone(node) as _;
            if let Ok(client) = world.try_stored_over(1, "alice", network).await {
                return client;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(opened).await
}
