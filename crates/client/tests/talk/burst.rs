use folkmoot_client::{Client, GroupOptions, StreamOptions};

use crate::people::{World, assert_same_epoch, both_generations, group, soon, synced, text, texts};

both_generations!(
    nothing_is_lost_in_a_burst_while_people_join,
    many_sends_at_once_keep_their_number_and_are_few_requests,
);

const MESSAGES: usize = 200;

async fn nothing_is_lost_in_a_burst_while_people_join(world: World) {
    let [alice, bob, carol, dave, erin, frank] = world.clients().await;
    let picnic = group(&alice, &[&bob]).await;
    let options = StreamOptions {
        without_changes: true,
        ..StreamOptions::default()
    };
    let mut heard = bob
        .conversations()
        .stream_all_messages(options)
        .await
        .unwrap();
    let sender = picnic.clone();
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            sender.send_text(number.to_string()).await.unwrap();
        }
    });
    let joining = {
        let mut picnic = synced(&bob, picnic.id()).await;
        let newcomers: Vec<_> = [&carol, &dave, &erin, &frank]
            .map(Client::inbox_id)
            .to_vec();
        tokio::spawn(async move {
            for newcomer in newcomers {
                picnic.add_members([newcomer]).await.unwrap();
            }
        })
    };
    for number in 0..MESSAGES {
        let message = soon(heard.next()).await.unwrap();
        assert_eq!(text(&message), Some(number.to_string()));
    }
    soon(sending).await.unwrap();
    soon(joining).await.unwrap();
    let expected: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
    let hers = synced(&alice, picnic.id()).await;
    let his = synced(&bob, picnic.id()).await;
    assert_eq!(texts(&hers).await, expected);
    assert_eq!(texts(&his).await, expected);
    let mut all = vec![hers, his];
    for newcomer in [&carol, &dave, &erin, &frank] {
        let there = synced(newcomer, picnic.id()).await;
        let heard = texts(&there).await;
        // From some point on, everything.
        assert_eq!(heard[..], expected[MESSAGES - heard.len()..]);
        all.push(there);
    }
    assert_same_epoch(&all.iter().collect::<Vec<_>>()).await;
}

async fn many_sends_at_once_keep_their_number_and_are_few_requests(world: World) {
    let [alice, bob] = world.clients().await;
    let picnic = alice
        .conversations()
        .new_group([bob.inbox_id()], GroupOptions::default())
        .await
        .unwrap();
    let sends = (0..500).map(|number| {
        let picnic = picnic.clone();
        async move { picnic.send_text(number.to_string()).await }
    });
    let sent = soon(futures::future::join_all(sends)).await;
    assert!(sent.iter().all(Result::is_ok));
    let heard = texts(&synced(&bob, picnic.id()).await).await;
    let expected: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    assert_eq!(heard, expected);
}
