//! What accounts want archived.

use async_trait::async_trait;
use jid::{BareJid, Jid};

use super::{
    XmppDatabase,
    sql::{broken, join, parse_jid, split, values},
};
use crate::{
    StoreError,
    xmpp::{ArchiveDefault, ArchivePreferences, ArchivePrefs},
};

#[async_trait]
impl ArchivePreferences for XmppDatabase {
    async fn archive_prefs(&self, account: &BareJid) -> Result<Option<ArchivePrefs>, StoreError> {
        let values = values![account];
        self.read("read preferences for an archive", move |sql| {
            Box::pin(async move {
                let select = "SELECT otherwise, always, never FROM archive_prefs \
                              WHERE account = ?1";
                let Some(mut row) = sql.first(select, &values).await? else {
                    return Ok(None);
                };
                Ok(Some(ArchivePrefs {
                    default: match row.number()? {
                        0 => ArchiveDefault::Always,
                        1 => ArchiveDefault::Never,
                        2 => ArchiveDefault::Roster,
                        _ => return Err(broken("an archive's default is not known")),
                    },
                    always: addresses(&row.bytes()?)?,
                    never: addresses(&row.bytes()?)?,
                }))
            })
        })
        .await
    }

    async fn set_archive_prefs(
        &self,
        account: &BareJid,
        prefs: ArchivePrefs,
    ) -> Result<(), StoreError> {
        let list = |mut jids: Vec<Jid>| {
            jids.sort();
            jids.dedup();
            join(jids.iter().map(Jid::as_str))
        };
        let default = prefs.default as u8;
        let values = values![account, default, list(prefs.always), list(prefs.never)];
        self.write("keep preferences for an archive", move |sql| {
            Box::pin(async move {
                let put = "INSERT INTO archive_prefs (account, otherwise, always, never) \
                           VALUES (?1, ?2, ?3, ?4) ON CONFLICT (account) DO UPDATE SET \
                           otherwise = excluded.otherwise, always = excluded.always, \
                           never = excluded.never";
                sql.execute(put, &values).await.map(drop)
            })
        })
        .await
    }
}

fn addresses(bytes: &[u8]) -> Result<Vec<Jid>, StoreError> {
    split(bytes)?.iter().map(|text| parse_jid(text)).collect()
}
