use crate::people::{World, assert_same_epoch, both_generations, group, soon, synced, texts};

both_generations!(
    two_commits_at_once_both_happen,
    many_changes_at_once_all_happen,
    a_late_message_of_an_older_epoch_is_read,
    a_message_three_epochs_late_stands_at_the_same_place_for_all,
);

async fn two_commits_at_once_both_happen(world: World) {
    let [alice, bob] = world.clients().await;
    let mut hers = group(&alice, &[&bob]).await;
    let mut his = synced(&bob, hers.id()).await;
    let (one, two) =
        soon(async { tokio::join!(hers.set_name("Picnic"), his.set_description("with cake")) })
            .await;
    one.unwrap();
    two.unwrap();
    let hers = synced(&alice, hers.id()).await;
    let his = synced(&bob, his.id()).await;
    for group in [&hers, &his] {
        assert_eq!(group.name(), "Picnic");
        assert_eq!(group.description(), "with cake");
    }
    assert_same_epoch(&[&hers, &his]).await;
}

async fn many_changes_at_once_all_happen(world: World) {
    let [alice, bob, carol] = world.clients().await;
    let hers = group(&alice, &[&bob, &carol]).await;
    let id = hers.id().clone();
    let mut tasks = Vec::new();
    for (number, client) in [&alice, &bob, &carol].into_iter().enumerate() {
        let conversation = synced(client, &id).await;
        for step in 0..4 {
            let mut conversation = conversation.clone();
            tasks.push(tokio::spawn(async move {
                if step % 2 == 0 {
                    conversation.set_app_data(format!("{number} {step}")).await
                } else {
                    conversation
                        .send_text(format!("{number} {step}"))
                        .await
                        .map(|_| ())
                }
            }));
        }
    }
    for task in tasks {
        soon(task).await.unwrap().unwrap();
    }
    let mut conversations = Vec::new();
    for client in [&alice, &bob, &carol] {
        conversations.push(synced(client, &id).await);
    }
    // A message that came too late for its epoch is sent once more; give everybody that chance.
    for client in [&alice, &bob, &carol] {
        synced(client, &id).await;
    }
    assert_same_epoch(&conversations.iter().collect::<Vec<_>>()).await;
    for client in [&alice, &bob, &carol] {
        let mut said = texts(&synced(client, &id).await).await;
        said.sort();
        assert_eq!(said, ["0 1", "0 3", "1 1", "1 3", "2 1", "2 3"]);
    }
}

async fn a_late_message_of_an_older_epoch_is_read(world: World) {
    let [alice, bob] = world.clients().await;
    let mut hers = group(&alice, &[&bob]).await;
    let his = synced(&bob, hers.id()).await;
    his.send_text("in time").await.unwrap();
    // Bob does not hear of the changes before he writes.
    for name in ["one", "two"] {
        hers.set_name(name).await.unwrap();
    }
    his.send_text("late").await.unwrap();
    assert_eq!(
        texts(&synced(&alice, hers.id()).await).await,
        ["in time", "late"]
    );
    // So late that it has to be sealed anew.
    for name in ["three", "four", "five", "six"] {
        hers.set_name(name).await.unwrap();
    }
    his.send_text("very late").await.unwrap();
    synced(&bob, hers.id()).await;
    assert_eq!(
        texts(&synced(&alice, hers.id()).await).await,
        ["in time", "late", "very late"]
    );
}

async fn a_message_three_epochs_late_stands_at_the_same_place_for_all(world: World) {
    let [alice, bob] = world.clients().await;
    let mut hers = group(&alice, &[&bob]).await;
    let his = synced(&bob, hers.id()).await;
    his.send_text("in time").await.unwrap();
    for name in ["one", "two", "three"] {
        hers.set_name(name).await.unwrap();
    }
    // The oldest epoch that everybody still reads: nothing is to be sent again.
    his.send_text("late").await.unwrap();
    hers.send_text("after").await.unwrap();
    for client in [&bob, &alice, &bob] {
        assert_eq!(
            texts(&synced(client, hers.id()).await).await,
            ["in time", "late", "after"]
        );
    }
}
