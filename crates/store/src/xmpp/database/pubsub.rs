//! Nodes, items, subscriptions and affiliations.

use async_trait::async_trait;
use bytes::Bytes;
use jid::{BareJid, Jid};

use super::{
    XmppDatabase,
    sql::{Row, Sql, broken, values},
};
use crate::{
    StoreError,
    xmpp::{
        ItemsAnswer, ItemsPage, ItemsPlace, NodeAffiliation, NodeRecord, NodeSubscription, PubSub,
        PubSubItem, SubscriptionState,
    },
};

#[async_trait]
impl PubSub for XmppDatabase {
    async fn create_node(
        &self,
        service: &BareJid,
        node: NodeRecord,
        owner: Option<&BareJid>,
    ) -> Result<bool, StoreError> {
        let (service, owner) = (service.clone(), owner.cloned());
        self.write("make a node", move |sql| {
            Box::pin(async move {
                let insert = "INSERT INTO node (service, name, config, created) \
                              VALUES (?1, ?2, ?3, ?4) ON CONFLICT (service, name) DO NOTHING";
                let values = values![&service, &node.name, node.config, node.created];
                let made = sql.execute(insert, &values).await? > 0;
                if made && let Some(owner) = owner {
                    let insert = "INSERT INTO node_affiliation (node, account, affiliation) \
                                  VALUES ((SELECT number FROM node WHERE service = ?1 AND name = ?2), ?3, ?4)";
                    let affiliation = NodeAffiliation::Owner as u8;
                    let values = values![&service, &node.name, owner, affiliation];
                    sql.execute(insert, &values).await?;
                }
                Ok(made)
            })
        })
        .await
    }

    async fn node(&self, service: &BareJid, node: &str) -> Result<Option<NodeRecord>, StoreError> {
        let values = values![service, node];
        self.read("read a node", move |sql| {
            Box::pin(async move {
                let select = "SELECT name, config, created FROM node \
                              WHERE service = ?1 AND name = ?2";
                sql.first(select, &values).await?.map(record).transpose()
            })
        })
        .await
    }

    async fn nodes(
        &self,
        service: &BareJid,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<NodeRecord>, StoreError> {
        let values = values![service, after, limit];
        self.read("list nodes", move |sql| {
            Box::pin(async move {
                let select = "SELECT name, config, created FROM node WHERE service = ?1 \
                              AND (name > ?2 OR ?2 IS NULL) ORDER BY name LIMIT ?3";
                let rows = sql.query(select, &values).await?;
                rows.into_iter().map(record).collect()
            })
        })
        .await
    }

    async fn set_node_config(
        &self,
        service: &BareJid,
        node: &str,
        config: Bytes,
        max_items: usize,
    ) -> Result<bool, StoreError> {
        let (service, node) = (service.clone(), node.to_owned());
        self.write("configure a node", move |sql| {
            Box::pin(async move {
                let Some(number) = number(sql, &service, &node).await? else {
                    return Ok(false);
                };
                let update = "UPDATE node SET config = ?2 WHERE number = ?1";
                sql.execute(update, &values![number, config]).await?;
                trim(sql, number, max_items).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn delete_node(&self, service: &BareJid, node: &str) -> Result<bool, StoreError> {
        let (service, node) = (service.clone(), node.to_owned());
        self.write("delete a node", move |sql| {
            Box::pin(async move {
                let Some(number) = number(sql, &service, &node).await? else {
                    return Ok(false);
                };
                for statement in [
                    "DELETE FROM item WHERE node = ?1",
                    "DELETE FROM node_subscription WHERE node = ?1",
                    "DELETE FROM node_affiliation WHERE node = ?1",
                    "DELETE FROM node WHERE number = ?1",
                ] {
                    sql.execute(statement, &values![number]).await?;
                }
                Ok(true)
            })
        })
        .await
    }

    async fn publish_items(
        &self,
        service: &BareJid,
        node: &str,
        items: Vec<PubSubItem>,
        max_items: usize,
    ) -> Result<bool, StoreError> {
        let (service, node) = (service.clone(), node.to_owned());
        self.write("publish items", move |sql| {
            Box::pin(async move {
                let Some(number) = number(sql, &service, &node).await? else {
                    return Ok(false);
                };
                for item in items {
                    // Deleted and not replaced, so that it becomes the newest.
                    let delete = "DELETE FROM item WHERE node = ?1 AND id = ?2";
                    sql.execute(delete, &values![number, &item.id]).await?;
                    let insert = "INSERT INTO item (node, id, publisher, at, payload) \
                                  VALUES (?1, ?2, ?3, ?4, ?5)";
                    let values = values![number, item.id, item.publisher, item.at, item.payload];
                    sql.execute(insert, &values).await?;
                }
                trim(sql, number, max_items).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn retract_items(
        &self,
        service: &BareJid,
        node: &str,
        ids: Vec<String>,
    ) -> Result<Vec<String>, StoreError> {
        let (service, node) = (service.clone(), node.to_owned());
        self.write("retract items", move |sql| {
            Box::pin(async move {
                let Some(number) = number(sql, &service, &node).await? else {
                    return Ok(Vec::new());
                };
                let mut gone = Vec::new();
                for id in ids {
                    let delete = "DELETE FROM item WHERE node = ?1 AND id = ?2";
                    if sql.execute(delete, &values![number, &id]).await? > 0 {
                        gone.push(id);
                    }
                }
                Ok(gone)
            })
        })
        .await
    }

    async fn purge_node(&self, service: &BareJid, node: &str) -> Result<bool, StoreError> {
        let (service, node) = (service.clone(), node.to_owned());
        self.write("remove all items of a node", move |sql| {
            Box::pin(async move {
                let Some(number) = number(sql, &service, &node).await? else {
                    return Ok(false);
                };
                sql.execute("DELETE FROM item WHERE node = ?1", &values![number])
                    .await?;
                Ok(true)
            })
        })
        .await
    }

    async fn items(
        &self,
        service: &BareJid,
        node: &str,
        place: ItemsPlace,
        max: usize,
    ) -> Result<ItemsAnswer, StoreError> {
        let (service, node) = (service.clone(), node.to_owned());
        self.read("read items", move |sql| {
            Box::pin(items(sql, service, node, place, max))
        })
        .await
    }

    async fn items_by_id(
        &self,
        service: &BareJid,
        node: &str,
        ids: &[String],
    ) -> Result<Vec<PubSubItem>, StoreError> {
        let (service, node, ids) = (service.clone(), node.to_owned(), ids.to_vec());
        self.read("read items", move |sql| {
            Box::pin(async move {
                let mut items = Vec::new();
                let Some(number) = number(sql, &service, &node).await? else {
                    return Ok(items);
                };
                for id in ids {
                    let select = "SELECT id, publisher, at, payload FROM item \
                                  WHERE node = ?1 AND id = ?2";
                    if let Some(row) = sql.first(select, &values![number, id]).await? {
                        items.push(item(row)?);
                    }
                }
                Ok(items)
            })
        })
        .await
    }

    async fn last_items(&self, service: &BareJid) -> Result<Vec<(String, PubSubItem)>, StoreError> {
        let values = values![service];
        self.read("read the newest items", move |sql| {
            Box::pin(async move {
                let select = "SELECT n.name, i.id, i.publisher, i.at, i.payload \
                              FROM node n JOIN item i \
                                ON i.seq = (SELECT max(seq) FROM item WHERE node = n.number) \
                              WHERE n.service = ?1 ORDER BY n.name";
                let rows = sql.query(select, &values).await?;
                rows.into_iter()
                    .map(|mut row| Ok((row.text()?, item(row)?)))
                    .collect()
            })
        })
        .await
    }

    async fn node_subscriptions(
        &self,
        service: &BareJid,
        node: &str,
    ) -> Result<Vec<NodeSubscription>, StoreError> {
        let values = values![service, node];
        self.read("read a node's subscriptions", move |sql| {
            Box::pin(async move {
                let select = "SELECT s.jid, s.id, s.state, s.options \
                              FROM node_subscription s JOIN node n ON n.number = s.node \
                              WHERE n.service = ?1 AND n.name = ?2 ORDER BY s.jid";
                let rows = sql.query(select, &values).await?;
                rows.into_iter().map(subscription).collect()
            })
        })
        .await
    }

    async fn subscriptions_of(
        &self,
        service: &BareJid,
        account: &BareJid,
    ) -> Result<Vec<(String, NodeSubscription)>, StoreError> {
        let values = values![service, account];
        self.read("read somebody's subscriptions", move |sql| {
            Box::pin(async move {
                let select = "SELECT n.name, s.jid, s.id, s.state, s.options \
                              FROM node_subscription s JOIN node n ON n.number = s.node \
                              WHERE s.account = ?2 AND n.service = ?1 ORDER BY n.name, s.jid";
                let rows = sql.query(select, &values).await?;
                rows.into_iter()
                    .map(|mut row| Ok((row.text()?, subscription(row)?)))
                    .collect()
            })
        })
        .await
    }

    async fn put_node_subscription(
        &self,
        service: &BareJid,
        node: &str,
        subscription: NodeSubscription,
    ) -> Result<bool, StoreError> {
        let (service, node) = (service.clone(), node.to_owned());
        self.write("subscribe to a node", move |sql| {
            Box::pin(async move {
                let Some(number) = number(sql, &service, &node).await? else {
                    return Ok(false);
                };
                let put = "INSERT INTO node_subscription (node, jid, account, id, state, options) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (node, jid) DO UPDATE SET \
                           id = excluded.id, state = excluded.state, options = excluded.options";
                let NodeSubscription {
                    jid,
                    id,
                    state,
                    options,
                } = subscription;
                let account = jid.to_bare();
                let values = values![number, jid, account, id, state as u8, options];
                sql.execute(put, &values).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn remove_node_subscription(
        &self,
        service: &BareJid,
        node: &str,
        jid: &Jid,
    ) -> Result<bool, StoreError> {
        let values = values![service, node, jid];
        self.write("end a subscription", move |sql| {
            Box::pin(async move {
                let delete = "DELETE FROM node_subscription WHERE jid = ?3 AND node = \
                              (SELECT number FROM node WHERE service = ?1 AND name = ?2)";
                Ok(sql.execute(delete, &values).await? > 0)
            })
        })
        .await
    }

    async fn node_affiliations(
        &self,
        service: &BareJid,
        node: &str,
    ) -> Result<Vec<(BareJid, NodeAffiliation)>, StoreError> {
        let values = values![service, node];
        self.read("read a node's affiliations", move |sql| {
            Box::pin(async move {
                let select = "SELECT a.account, a.affiliation \
                              FROM node_affiliation a JOIN node n ON n.number = a.node \
                              WHERE n.service = ?1 AND n.name = ?2 ORDER BY a.account";
                let rows = sql.query(select, &values).await?;
                rows.into_iter()
                    .map(|mut row| Ok((row.bare_jid()?, affiliation(row)?)))
                    .collect()
            })
        })
        .await
    }

    async fn affiliations_of(
        &self,
        service: &BareJid,
        account: &BareJid,
    ) -> Result<Vec<(String, NodeAffiliation)>, StoreError> {
        let values = values![service, account];
        self.read("read somebody's affiliations", move |sql| {
            Box::pin(async move {
                let select = "SELECT n.name, a.affiliation \
                              FROM node_affiliation a JOIN node n ON n.number = a.node \
                              WHERE a.account = ?2 AND n.service = ?1 ORDER BY n.name";
                let rows = sql.query(select, &values).await?;
                rows.into_iter()
                    .map(|mut row| Ok((row.text()?, affiliation(row)?)))
                    .collect()
            })
        })
        .await
    }

    async fn set_node_affiliations(
        &self,
        service: &BareJid,
        node: &str,
        affiliations: Vec<(BareJid, Option<NodeAffiliation>)>,
    ) -> Result<bool, StoreError> {
        let (service, node) = (service.clone(), node.to_owned());
        self.write("set affiliations", move |sql| {
            Box::pin(async move {
                let Some(number) = number(sql, &service, &node).await? else {
                    return Ok(false);
                };
                for (account, affiliation) in affiliations {
                    let delete = "DELETE FROM node_affiliation WHERE node = ?1 AND account = ?2";
                    sql.execute(delete, &values![number, &account]).await?;
                    if let Some(affiliation) = affiliation {
                        let insert = "INSERT INTO node_affiliation (node, account, affiliation) \
                                      VALUES (?1, ?2, ?3)";
                        let values = values![number, account, affiliation as u8];
                        sql.execute(insert, &values).await?;
                    }
                }
                Ok(true)
            })
        })
        .await
    }
}

async fn number(
    sql: &mut dyn Sql,
    service: &BareJid,
    node: &str,
) -> Result<Option<i64>, StoreError> {
    let select = "SELECT number FROM node WHERE service = ?1 AND name = ?2";
    let row = sql.first(select, &values![service, node]).await?;
    row.map(|mut row| row.number()).transpose()
}

/// Removes the oldest items beyond `max_items`.
async fn trim(sql: &mut dyn Sql, node: i64, max_items: usize) -> Result<(), StoreError> {
    let delete = "DELETE FROM item WHERE node = ?1 AND seq <= \
                  (SELECT seq FROM item WHERE node = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
    sql.execute(delete, &values![node, max_items])
        .await
        .map(drop)
}

async fn items(
    sql: &mut dyn Sql,
    service: BareJid,
    node: String,
    place: ItemsPlace,
    max: usize,
) -> Result<ItemsAnswer, StoreError> {
    let Some(node) = number(sql, &service, &node).await? else {
        return Ok(ItemsAnswer::UnknownNode);
    };
    let forward = "SELECT id, publisher, at, payload FROM item WHERE node = ?1 AND seq > ?2 \
                   ORDER BY seq LIMIT ?3";
    let backward = "SELECT id, publisher, at, payload FROM item WHERE node = ?1 AND seq < ?2 \
                    ORDER BY seq DESC LIMIT ?3";
    let is_backward = matches!(place, ItemsPlace::Before(_) | ItemsPlace::End);
    let bound = match place {
        ItemsPlace::Start => 0,
        ItemsPlace::End => i64::MAX,
        ItemsPlace::After(id) | ItemsPlace::Before(id) => {
            let select = "SELECT seq FROM item WHERE node = ?1 AND id = ?2";
            match sql.number(select, &values![node, id]).await? {
                0 => return Ok(ItemsAnswer::UnknownItem),
                seq => seq,
            }
        }
    };
    // One more than asked for shows whether something is left.
    let values = values![node, bound, max.saturating_add(1)];
    let statement = if is_backward { backward } else { forward };
    let rows = sql.query(statement, &values).await?;
    let complete = rows.len() <= max;
    let items = rows.into_iter().take(max).map(item);
    let mut items: Vec<_> = items.collect::<Result<_, _>>()?;
    if is_backward {
        items.reverse();
    }
    let count = "SELECT count(*) FROM item WHERE node = ?1";
    let count = sql.number(count, &values![node]).await?.cast_unsigned();
    Ok(ItemsAnswer::Page(ItemsPage {
        items,
        complete,
        count,
    }))
}

fn record(mut row: Row) -> Result<NodeRecord, StoreError> {
    Ok(NodeRecord {
        name: row.text()?,
        config: row.bytes()?,
        created: row.number()?,
    })
}

fn item(mut row: Row) -> Result<PubSubItem, StoreError> {
    Ok(PubSubItem {
        id: row.text()?,
        publisher: row.maybe_jid()?,
        at: row.number()?,
        payload: row.bytes()?,
    })
}

fn subscription(mut row: Row) -> Result<NodeSubscription, StoreError> {
    Ok(NodeSubscription {
        jid: row.jid()?,
        id: row.maybe_text()?,
        state: match row.number()? {
            1 => SubscriptionState::Pending,
            2 => SubscriptionState::Subscribed,
            3 => SubscriptionState::Unconfigured,
            _ => return Err(broken("a subscription's state is not known")),
        },
        options: row.bytes()?,
    })
}

fn affiliation(mut row: Row) -> Result<NodeAffiliation, StoreError> {
    Ok(match row.number()? {
        1 => NodeAffiliation::Owner,
        2 => NodeAffiliation::Publisher,
        3 => NodeAffiliation::PublishOnly,
        4 => NodeAffiliation::Member,
        5 => NodeAffiliation::Outcast,
        _ => return Err(broken("an affiliation is not known")),
    })
}
