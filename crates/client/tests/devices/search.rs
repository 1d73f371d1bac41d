use folkmoot_client::SearchOptions;
use folkmoot_conversation::content::Content;

use crate::home::{Home, group};

async fn found(client: &folkmoot_client::Client, query: &str) -> Vec<String> {
    let messages = client
        .search(query, SearchOptions::default())
        .await
        .unwrap();
    let text = |content: &Content| match content {
        Content::Text(text) => text.0.clone(),
        other => format!("{other:?}"),
    };
    messages
        .iter()
        .map(|message| text(&message.content))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_found_by_their_words() {
    let home = Home::new().await;
    let (alice, bob) = (home.client(1).await, home.client(2).await);
    let picnic = group(&alice, &[&bob], "picnic").await;
    for text in [
        "At the Oak",
        "at the lake, noon",
        "café au lait",
        "\"quoted\" - NOT this",
    ] {
        picnic.send_text(text).await.unwrap();
    }
    assert_eq!(found(&alice, "oak").await, ["At the Oak"]);
    assert_eq!(
        found(&alice, "the").await,
        ["at the lake, noon", "At the Oak"]
    );
    assert_eq!(found(&alice, "la no").await, ["at the lake, noon"]);
    assert_eq!(found(&alice, "cafe").await, ["café au lait"]);
    assert_eq!(found(&alice, "\"the lake\"").await, ["at the lake, noon"]);
    assert_eq!(found(&alice, "NOT OR (").await.len(), 0);
    assert_eq!(found(&alice, "").await.len(), 0);

    picnic.send_text("another oak").await.unwrap();
    assert_eq!(found(&alice, "oak").await, ["another oak", "At the Oak"]);
    let elsewhere = group(&alice, &[&bob], "elsewhere").await;
    elsewhere.send_text("an oak elsewhere").await.unwrap();
    let only = SearchOptions {
        conversation: Some(elsewhere.id().clone()),
        ..SearchOptions::default()
    };
    assert_eq!(alice.search("oak", only).await.unwrap().len(), 1);
    let page = SearchOptions {
        limit: Some(1),
        offset: 1,
        ..SearchOptions::default()
    };
    assert_eq!(alice.search("oak", page).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_not_found_and_what_comes_after_is() {
    let home = Home::new().await;
    let (alice, bob) = (home.client(1).await, home.client(2).await);
    let picnic = group(&alice, &[&bob], "picnic").await;
    picnic.send_text("keep the oak").await.unwrap();
    let secret = picnic.send_text("the secret oak").await.unwrap();
    assert_eq!(found(&alice, "oak").await.len(), 2);
    assert!(
        alice
            .conversations()
            .delete_message_locally(&secret)
            .await
            .unwrap()
    );
    assert_eq!(found(&alice, "oak").await, ["keep the oak"]);
    // Deleting the last one gave its number to the next; nothing else is looked at again.
    let index = alice.database().read(|db| {
        let sql = "SELECT value, (SELECT max(local) FROM message) FROM counter
             WHERE name = 'search'";
        Ok(db.query_row(sql, [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })?)
    });
    let (indexed, last) = index.await.unwrap();
    assert_eq!(indexed, last);
    picnic.send_text("a later oak").await.unwrap();
    assert_eq!(found(&alice, "oak").await, ["a later oak", "keep the oak"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_back_for_everybody_is_not_found_and_does_not_count() {
    let home = Home::new().await;
    let (alice, bob) = (home.client(1).await, home.client(2).await);
    let picnic = group(&alice, &[&bob], "picnic").await;
    for text in ["first oak", "second oak", "third oak"] {
        picnic.send_text(text).await.unwrap();
    }
    let secret = picnic.send_text("the secret oak").await.unwrap();
    picnic.delete_message(&secret).await.unwrap();
    let theirs = bob.conversations().get(picnic.id()).await.unwrap();
    theirs.sync().await.unwrap();
    for client in [&alice, &bob] {
        let all = ["third oak", "second oak", "first oak"];
        assert_eq!(found(client, "oak").await, all);
        let page = SearchOptions {
            limit: Some(1),
            offset: 1,
            ..SearchOptions::default()
        };
        let page = client.search("oak", page).await.unwrap();
        assert_eq!(page.len(), 1);
        assert_eq!(page[0].content, Content::text("second oak"));
        let shown = client.conversations().enriched_message(&secret).await;
        assert!(shown.unwrap().deleted.is_some());
    }
}
