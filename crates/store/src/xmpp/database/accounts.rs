//! Accounts, and what goes with them when they go.

use async_trait::async_trait;
use jid::BareJid;

use super::{
    XmppDatabase, archive,
    sql::{Row, Sql, broken, values},
};
use crate::{
    StoreError,
    xmpp::{
        AccountRecord, Accounts, Created, InviteKind, LastActivity, NewAccount, NodeAffiliation,
        RoomAffiliation, Secret, Verifier, VerifierHash,
    },
};

#[async_trait]
impl Accounts for XmppDatabase {
    async fn create_account(&self, account: NewAccount) -> Result<Created, StoreError> {
        self.write("make an account", move |sql| Box::pin(create(sql, account)))
            .await
    }

    async fn account(&self, account: &BareJid) -> Result<Option<AccountRecord>, StoreError> {
        let account = account.clone();
        self.read("read an account", move |sql| Box::pin(read(sql, account)))
            .await
    }

    async fn set_verifiers(
        &self,
        account: &BareJid,
        verifiers: Vec<Verifier>,
    ) -> Result<bool, StoreError> {
        let account = account.clone();
        self.write("change a password", move |sql| {
            Box::pin(async move {
                if !exists(sql, &account).await? {
                    return Ok(false);
                }
                let of_account = &values![&account];
                sql.execute("DELETE FROM verifier WHERE account = ?1", of_account)
                    .await?;
                sql.execute("DELETE FROM token WHERE account = ?1", of_account)
                    .await?;
                put_verifiers(sql, &account, verifiers).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn add_verifier(
        &self,
        account: &BareJid,
        verifier: Verifier,
    ) -> Result<bool, StoreError> {
        let account = account.clone();
        self.write("add a verifier", move |sql| {
            Box::pin(async move {
                let exists = exists(sql, &account).await?;
                if exists {
                    put_verifiers(sql, &account, vec![verifier]).await?;
                }
                Ok(exists)
            })
        })
        .await
    }

    async fn set_disabled(&self, account: &BareJid, disabled: bool) -> Result<bool, StoreError> {
        let account = account.clone();
        self.write("disable or enable an account", move |sql| {
            Box::pin(async move {
                if disabled {
                    sql.execute("DELETE FROM token WHERE account = ?1", &values![&account])
                        .await?;
                }
                let update = "UPDATE account SET disabled = ?2 WHERE jid = ?1";
                Ok(sql.execute(update, &values![&account, disabled]).await? > 0)
            })
        })
        .await
    }

    async fn delete_account(&self, account: &BareJid) -> Result<bool, StoreError> {
        let account = account.clone();
        let deleted = self
            .write("delete an account", move |sql| {
                Box::pin(delete(sql, account))
            })
            .await?;
        // Its archive has no owner any more; what is in it goes in small steps.
        self.remove_orphans().await?;
        Ok(deleted)
    }

    async fn accounts(
        &self,
        domain: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BareJid>, StoreError> {
        let values = values![domain, after.unwrap_or_default(), limit];
        self.read("list accounts", move |sql| {
            Box::pin(async move {
                let select = "SELECT jid FROM account WHERE domain = ?1 AND localpart > ?2 \
                              ORDER BY localpart LIMIT ?3";
                let rows = sql.query(select, &values).await?;
                rows.into_iter().map(|mut row| row.bare_jid()).collect()
            })
        })
        .await
    }

    async fn count_accounts(&self, domain: &str) -> Result<u64, StoreError> {
        let values = values![domain];
        self.read("count accounts", move |sql| {
            Box::pin(async move {
                let select = "SELECT count(*) FROM account WHERE domain = ?1";
                Ok(sql.number(select, &values).await?.cast_unsigned())
            })
        })
        .await
    }

    async fn last_activity(&self, account: &BareJid) -> Result<Option<LastActivity>, StoreError> {
        let values = values![account];
        self.read("read when an account was seen", move |sql| {
            Box::pin(async move {
                let select = "SELECT last_at, last_status FROM account \
                              WHERE jid = ?1 AND last_at IS NOT NULL";
                let row = sql.first(select, &values).await?;
                row.map(|mut row| {
                    Ok(LastActivity {
                        at: row.number()?,
                        status: row.maybe_text()?.unwrap_or_default(),
                    })
                })
                .transpose()
            })
        })
        .await
    }

    async fn set_last_activity(
        &self,
        account: &BareJid,
        activity: LastActivity,
    ) -> Result<(), StoreError> {
        let values = values![account, activity.at, activity.status];
        self.write("keep when an account was seen", move |sql| {
            Box::pin(async move {
                let update = "UPDATE account SET last_at = ?2, last_status = ?3 WHERE jid = ?1";
                sql.execute(update, &values).await.map(drop)
            })
        })
        .await
    }
}

async fn create(sql: &mut dyn Sql, new: NewAccount) -> Result<Created, StoreError> {
    let NewAccount {
        account,
        verifiers,
        now,
        invite,
    } = new;
    let reserved = "SELECT count(*) FROM invite \
                    WHERE account = ?1 AND uses > 0 AND expires >= ?2 AND token <> ?3";
    let values = values![&account, now, invite.as_deref().unwrap_or_default()];
    if exists(sql, &account).await? || sql.number(reserved, &values).await? > 0 {
        return Ok(Created::Taken);
    }
    if let Some(invite) = invite {
        // When it expires was looked at before the registration began.
        let used = "UPDATE invite SET uses = uses - 1 \
                    WHERE token = ?1 AND uses > 0 AND kind <> ?2 AND (account = ?3 OR account IS NULL)";
        let values = values![invite, InviteKind::Contact as u8, &account];
        if sql.execute(used, &values).await? == 0 {
            return Ok(Created::NoInvite);
        }
    }
    let insert = "INSERT INTO account (jid, domain, localpart, disabled, created) \
                  VALUES (?1, ?2, ?3, 0, ?4)";
    let localpart = account.node().map_or("", |node| node.as_str());
    let values = values![&account, account.domain().as_str(), localpart, now];
    sql.execute(insert, &values).await?;
    put_verifiers(sql, &account, verifiers).await?;
    Ok(Created::Created)
}

async fn exists(sql: &mut dyn Sql, account: &BareJid) -> Result<bool, StoreError> {
    let select = "SELECT count(*) FROM account WHERE jid = ?1";
    Ok(sql.number(select, &values![account]).await? > 0)
}

async fn put_verifiers(
    sql: &mut dyn Sql,
    account: &BareJid,
    verifiers: Vec<Verifier>,
) -> Result<(), StoreError> {
    let put = "INSERT INTO verifier (account, hash, salt, iterations, stored_key, server_key) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (account, hash) DO UPDATE SET \
               salt = excluded.salt, iterations = excluded.iterations, \
               stored_key = excluded.stored_key, server_key = excluded.server_key";
    let row = |verifier: Verifier| {
        let Verifier {
            hash,
            salt,
            iterations,
            stored_key,
            server_key,
        } = verifier;
        let [salt, stored_key, server_key] = [salt, stored_key, server_key].map(|secret| secret.0);
        values![
            account, hash as u8, salt, iterations, stored_key, server_key
        ]
        .to_vec()
    };
    let rows: Vec<_> = verifiers.into_iter().map(row).collect();
    sql.execute_each(put, &rows).await
}

async fn read(sql: &mut dyn Sql, account: BareJid) -> Result<Option<AccountRecord>, StoreError> {
    let select = "SELECT disabled, created FROM account WHERE jid = ?1";
    let Some(mut row) = sql.first(select, &values![&account]).await? else {
        return Ok(None);
    };
    let verifiers = "SELECT hash, salt, iterations, stored_key, server_key FROM verifier \
                     WHERE account = ?1 ORDER BY hash";
    let verifiers = sql.query(verifiers, &values![&account]).await?;
    Ok(Some(AccountRecord {
        disabled: row.truth()?,
        created: row.number()?,
        verifiers: verifiers
            .into_iter()
            .map(verifier)
            .collect::<Result<_, _>>()?,
    }))
}

fn verifier(mut row: Row) -> Result<Verifier, StoreError> {
    let hash = match row.number()? {
        1 => VerifierHash::Sha1,
        2 => VerifierHash::Sha256,
        3 => VerifierHash::Sha512,
        _ => return Err(broken("a verifier's hash is not known")),
    };
    let salt = Secret(row.bytes()?.into());
    let iterations = u32::try_from(row.number()?);
    Ok(Verifier {
        hash,
        salt,
        iterations: iterations.map_err(|_| broken("a verifier's iterations are too many"))?,
        stored_key: Secret(row.bytes()?.into()),
        server_key: Secret(row.bytes()?.into()),
    })
}

/// What belongs to an account alone. What it does at other places follows in [`delete`].
const OWN: [&str; 15] = [
    "DELETE FROM verifier WHERE account = ?1",
    "DELETE FROM roster_version WHERE account = ?1",
    "DELETE FROM roster WHERE account = ?1",
    "DELETE FROM blocklist WHERE account = ?1",
    "DELETE FROM private_xml WHERE account = ?1",
    "DELETE FROM vcard WHERE owner = ?1",
    "DELETE FROM archive_prefs WHERE account = ?1",
    "DELETE FROM offline WHERE account = ?1",
    "DELETE FROM token WHERE account = ?1",
    "DELETE FROM push WHERE account = ?1",
    "DELETE FROM invite WHERE inviter = ?1",
    "DELETE FROM item WHERE node IN (SELECT number FROM node WHERE service = ?1)",
    "DELETE FROM node_subscription WHERE node IN (SELECT number FROM node WHERE service = ?1)",
    "DELETE FROM node_affiliation WHERE node IN (SELECT number FROM node WHERE service = ?1)",
    "DELETE FROM node WHERE service = ?1",
];

async fn delete(sql: &mut dyn Sql, account: BareJid) -> Result<bool, StoreError> {
    let of_account = values![&account];
    for statement in OWN {
        sql.execute(statement, &of_account).await?;
    }
    sql.execute(
        "DELETE FROM node_subscription WHERE account = ?1",
        &of_account,
    )
    .await?;
    let elsewhere = "DELETE FROM node_affiliation WHERE account = ?1 AND affiliation <> ?2";
    let banned = NodeAffiliation::Outcast as u8;
    sql.execute(elsewhere, &values![&account, banned]).await?;
    let rooms = "DELETE FROM room_member WHERE account = ?1 AND affiliation <> ?2";
    let banned = RoomAffiliation::Outcast as u8;
    sql.execute(rooms, &values![&account, banned]).await?;
    let uploads = "UPDATE upload SET owner = NULL, expires = 0 WHERE owner = ?1";
    sql.execute(uploads, &of_account).await?;
    archive::disown(sql, &account).await?;
    let gone = sql
        .execute("DELETE FROM account WHERE jid = ?1", &of_account)
        .await?;
    Ok(gone > 0)
}
