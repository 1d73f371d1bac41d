//! Archives (XEP-0313).

use crate::{
    client::{Client, attribute},
    world::World,
};

/// Asks for a page; the results' bodies, ids, and the end.
async fn page(client: &mut Client, fields: &str, set: &str) -> (Vec<String>, Vec<String>, String) {
    let form = match fields {
        "" => String::new(),
        fields => format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>{fields}</x>"
        ),
    };
    client
        .send(&format!("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2' queryid='f'>{form}<set xmlns='http://jabber.org/protocol/rsm'>{set}</set></query></iq>"))
        .await;
    let (mut bodies, mut ids) = (Vec::new(), Vec::new());
    loop {
        let found = client.next().await;
        if found.starts_with("<iq") {
            return (bodies, ids, found);
        }
        assert!(
            found.contains("<result xmlns='urn:xmpp:mam:2' queryid='f' id='"),
            "{found}"
        );
        bodies.push(
            found
                .split("<body>")
                .nth(1)
                .unwrap()
                .split('<')
                .next()
                .unwrap()
                .to_owned(),
        );
        ids.push(attribute(found.split("<result").nth(1).unwrap(), "id").to_owned());
    }
}

#[tokio::test]
async fn both_sides_page_through_what_was_said() {
    let world = World::start().await;
    let mut romeo = world.bound("romeo", "r").await;
    let mut juliet = world.available("juliet", "j").await;
    for n in 0..10 {
        romeo
            .send(&format!(
                "<message to='juliet@localhost' type='chat'><body>{n}</body></message>"
            ))
            .await;
    }
    romeo.sync().await;
    juliet
        .send("<message to='nurse@localhost' type='chat'><body>oh</body></message>")
        .await;
    juliet.sync().await;
    for (client, with) in [
        (&mut romeo, "juliet@localhost"),
        (&mut juliet, "romeo@localhost"),
    ] {
        let fields = format!("<field var='with'><value>{with}</value></field>");
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let (bodies, ids, end) = page(client, &fields, &format!("<max>4</max>{after}")).await;
            all.extend(bodies);
            if end.contains("complete='true'") {
                break;
            }
            after = format!("<after>{}</after>", ids.last().unwrap());
        }
        assert_eq!(all, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
        let (last, _, end) = page(client, &fields, "<max>3</max><before/>").await;
        assert_eq!(last, ["7", "8", "9"]);
        assert!(!end.contains("complete"), "{end}");
    }
    let (_, _, unknown) = page(&mut romeo, "", "<after>nowhere</after>").await;
    assert!(unknown.contains("<item-not-found"), "{unknown}");
    let (_, _, count) = page(&mut juliet, "", "<max>0</max>").await;
    assert!(count.contains("<count>11</count>"), "{count}");
    let metadata = romeo
        .ask("get", "", "<metadata xmlns='urn:xmpp:mam:2'/>")
        .await;
    assert!(
        metadata.contains("<start id='") && metadata.contains("<end id='"),
        "{metadata}"
    );
}

#[tokio::test]
async fn the_id_of_a_delivery_is_that_of_the_archive() {
    let world = World::start().await;
    let mut romeo = world.bound("romeo", "r").await;
    let mut juliet = world.available("juliet", "j").await;
    romeo
        .send("<message to='juliet@localhost' type='chat'><body>hi</body></message>")
        .await;
    let got = juliet.expect("<body>hi</body>").await;
    let id = attribute(got.split("<stanza-id").nth(1).unwrap(), "id").to_owned();
    let (bodies, ids, _) = page(&mut juliet, "", "").await;
    assert_eq!((bodies, ids), (vec!["hi".to_owned()], vec![id]));
}

#[tokio::test]
async fn nobody_reads_the_archive_of_another() {
    let world = World::start().await;
    let mut romeo = world.bound("romeo", "r").await;
    let refused = romeo
        .ask("set", "juliet@localhost", "<query xmlns='urn:xmpp:mam:2'/>")
        .await;
    assert!(refused.contains("<service-unavailable"), "{refused}");
}

#[tokio::test]
async fn a_message_to_oneself_is_kept_once() {
    let world = World::start().await;
    let mut romeo = world.available("romeo", "r").await;
    romeo
        .send("<message to='romeo@localhost' type='chat'><body>note</body></message>")
        .await;
    romeo.expect("note").await;
    let (bodies, _, _) = page(&mut romeo, "", "").await;
    assert_eq!(bodies, ["note"]);
}
