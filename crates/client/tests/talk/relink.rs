//! Linking a device again: a new installation in the place of one that is of no use any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use folkmoot_client::{
    Client, Conversation, ConversationState, Lookup, SignWith, StreamOptions,
    identity::IdentityError,
};

use crate::{
    people::{World, assert_same_epoch, both_generations, group, soon, synced, texts, wallet},
    recovery::add_somebody_who_expires,
    relay::{Fault, Relay},
};

both_generations!(
    a_locked_out_device_is_linked_again_by_one_signature,
    a_revoked_device_is_told_so_and_linked_again,
    relinking_goes_on_where_it_was_cut,
);

/// Bob's wallet, and how often it signed.
fn counted() -> (SignWith, Arc<AtomicUsize>) {
    let signed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&signed);
    let signer = SignWith::new(wallet(2).identifier(), move |text| {
        count.fetch_add(1, Ordering::SeqCst);
        let signature = wallet(2).sign_text(&text).to_vec();
        async move { Ok(signature) }
    });
    (signer, signed)
}

/// The conversation as it stands in `client`'s database.
async fn stored(client: &Client, like: &Conversation) -> Conversation {
    client.conversations().get(like.id()).await.unwrap()
}

async fn a_locked_out_device_is_linked_again_by_one_signature(world: World) {
    let alice = world.client(1).await;
    let old = world.stored(2, "bob").await;
    let mut picnic = group(&alice, &[&old]).await;
    let mut talk = alice.conversations().new_dm(old.inbox_id()).await.unwrap();
    picnic.send_text("before").await.unwrap();
    talk.send_text("psst").await.unwrap();
    old.conversations().sync_all(&[]).await.unwrap();

    let over = add_somebody_who_expires(&world, &mut picnic).await;
    picnic.send_text("during").await.unwrap();
    let left = over.duration_since(SystemTime::now()).unwrap_or_default();
    tokio::time::sleep(left + Duration::from_secs(1)).await;
    let locked_out = synced(&old, picnic.id()).await;
    assert!(matches!(
        locked_out.state(),
        ConversationState::NeedsRelink(_)
    ));
    assert!(locked_out.trouble().unwrap().contains("client relink"));

    let (signer, signed) = counted();
    let bob = old.relink(&signer).await.unwrap();
    assert_eq!(signed.load(Ordering::SeqCst), 1);
    assert_eq!(bob.inbox_id(), old.inbox_id());
    assert_ne!(bob.installation_key(), old.installation_key());
    let state = bob.inbox_state(Lookup::Network).await.unwrap();
    assert_eq!(state.installations(), [bob.installation_key()]);
    // The old client changes nothing any more.
    assert!(old.is_revoked());
    assert!(
        locked_out
            .send_text("hello?")
            .await
            .unwrap_err()
            .is_revoked()
    );
    drop((old, locked_out));

    // What was said is there, in a file that is as good as before.
    bob.close().await;
    let bob = world.stored(2, "bob").await;
    assert_eq!(state.installations(), [bob.installation_key()]);
    let bobs = stored(&bob, &picnic).await;
    assert_eq!(bobs.state(), ConversationState::AwaitsAdding);
    assert!(bobs.trouble().unwrap().contains("waits"));
    assert_eq!(texts(&bobs).await, ["before"]);
    assert!(bobs.send_text("hello?").await.is_err());
    bob.conversations().sync_all(&[]).await.unwrap();

    // A DM goes on at once.
    let whisper = stored(&bob, &talk).await;
    assert_eq!(whisper.state(), ConversationState::AwaitsAdding);
    whisper.send_text("pardon?").await.unwrap();
    alice.conversations().sync_all(&[]).await.unwrap();
    assert_eq!(texts(&talk).await, ["psst", "pardon?"]);
    talk.send_text("later").await.unwrap();
    bob.conversations().sync_all(&[]).await.unwrap();
    assert_eq!(texts(&whisper).await, ["psst", "pardon?", "later"]);

    // A group goes on when somebody says something. A sender looks for new installations every
    // five seconds.
    picnic.update_installations().await.unwrap();
    picnic.send_text("after").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(bobs.state(), ConversationState::Active);
    bobs.send_text("here again").await.unwrap();
    let hers = synced(&alice, picnic.id()).await;
    assert_eq!(
        texts(&hers).await,
        ["before", "during", "after", "here again"]
    );
    assert_eq!(texts(&bobs).await, ["before", "after", "here again"]);
    assert_same_epoch(&[&hers, &synced(&bob, picnic.id()).await]).await;

    // The first copy of the DM comes back as well.
    talk.update_installations().await.unwrap();
    let whisper = synced(&bob, talk.id()).await;
    assert_eq!(whisper.state(), ConversationState::Active);
}

async fn a_revoked_device_is_told_so_and_linked_again(world: World) {
    let alice = world.client(1).await;
    let phone = world.client(2).await;
    let laptop = world.stored(2, "laptop").await;
    let mut picnic = group(&alice, &[&phone]).await;
    picnic.send_text("before").await.unwrap();
    let there = synced(&laptop, picnic.id()).await;
    let mut stream = laptop
        .conversations()
        .stream_all_messages(StreamOptions::default())
        .await
        .unwrap();
    let gone = vec![laptop.installation_key()];
    phone.revoke_installations(gone, &wallet(2)).await.unwrap();

    // Nobody has said anything since: nothing in the group tells.
    let told = laptop.check_rights().await.unwrap_err();
    assert!(told.is_revoked());
    assert!(told.remedy().unwrap().contains("client relink"));
    assert!(soon(stream.next()).await.unwrap_err().is_revoked());
    assert!(matches!(
        soon(laptop.revoked()).await,
        IdentityError::Revoked(_)
    ));
    let synced_all = laptop.conversations().sync_all(&[]).await;
    assert!(synced_all.unwrap_err().is_revoked());

    // Somebody has: it was removed.
    picnic.update_installations().await.unwrap();
    picnic.send_text("without you").await.unwrap();
    drop(there.sync().await);
    assert!(there.send_text("hello?").await.unwrap_err().is_revoked());

    let (signer, signed) = counted();
    let again = laptop.relink(&signer).await.unwrap();
    assert_eq!(signed.load(Ordering::SeqCst), 1);
    let bobs = stored(&again, &picnic).await;
    assert_eq!(bobs.state(), ConversationState::AwaitsAdding);
    assert_eq!(texts(&bobs).await, ["before"]);
    picnic.update_installations().await.unwrap();
    let bobs = synced(&again, picnic.id()).await;
    bobs.send_text("here again").await.unwrap();
    let hers = synced(&alice, picnic.id()).await;
    assert_eq!(texts(&hers).await, ["before", "without you", "here again"]);
}

async fn relinking_goes_on_where_it_was_cut(world: World) {
    let relay = Relay::to(world.network());
    let bob = world.stored_over(2, "bob", relay.clone()).await;
    let (signer, signed) = counted();
    relay.set(Fault::Cut);
    assert!(bob.relink(&signer).await.unwrap_err().is_retryable());
    assert_eq!(signed.load(Ordering::SeqCst), 0);

    relay.set(Fault::CutAfterUpdate);
    assert!(bob.relink(&signer).await.unwrap_err().is_retryable());
    assert_eq!(signed.load(Ordering::SeqCst), 1);
    assert!(!bob.is_revoked());

    relay.set(Fault::Nothing);
    let old = bob.installation_key();
    bob.close().await;
    let bob = world.stored(2, "bob").await;
    assert_eq!(bob.installation_key(), old);
    let again = bob.relink(&signer).await.unwrap();
    assert_eq!(signed.load(Ordering::SeqCst), 1);
    let state = again.inbox_state(Lookup::Network).await.unwrap();
    assert_eq!(state.installations(), [again.installation_key()]);
    // Others can add it.
    let alice = world.client(1).await;
    let dm = alice
        .conversations()
        .new_dm(again.inbox_id())
        .await
        .unwrap();
    dm.send_text("welcome back").await.unwrap();
    assert_eq!(
        texts(&synced(&again, dm.id()).await).await,
        ["welcome back"]
    );
}
