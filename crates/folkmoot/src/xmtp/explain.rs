//! `folkmoot group explain ID`: what happened in a group, epoch by epoch.

use std::{collections::BTreeMap, io::Write};

use clap::{Args, Subcommand};
use folkmoot_client::{
    CommitLogEntry, Conversation, Error, MessageKind, MessageQuery, Place, Standing,
    network::NetworkError,
};
use folkmoot_conversation::content::Content;

use super::{
    output::Output,
    people::names::Names,
    run::{As, AsClient, Me},
    shapes,
    value::{Value, object},
    which::Which,
};

/// Look inside a group
#[derive(Args, Debug)]
pub(crate) struct GroupCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what happened, epoch by epoch, and whether something is wrong
    #[command(after_help = "Example: folkmoot group explain picnic --sync")]
    Explain(As<Explain>),
}

impl GroupCommand {
    /// Does what was asked, and writes to `out`.
    pub(crate) async fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let Command::Explain(command) = self.command;
        command.run(out).await
    }
}

/// The arguments of `explain`.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    #[command(flatten)]
    which: Which,
    /// Fetch first what is new
    #[arg(long)]
    sync: bool,
    /// Do not ask the network whether there is more
    #[arg(long, conflicts_with = "sync")]
    offline: bool,
}

impl AsClient for Explain {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let mut conversation = self.which.find(&me.client).await?;
        if self.sync {
            conversation.sync().await?;
            conversation.refresh().await?;
        }
        let mut names = Names::new(&me.client)?;
        let history = history(&conversation, &mut names).await?;
        let reading = self.reading(me, &conversation).await?;
        let agreement = self.agreement(&conversation).await?;
        let standings = standings(me, &conversation, &mut names).await?;
        let members = conversation.members().await?;
        let mut people = Vec::new();
        for member in &members {
            people.push(object! {
                "name" => names.of(member.inbox_id, &conversation).await,
                "inboxId" => member.inbox_id.to_string(),
                "permissionLevel" => shapes::role(member.role),
                "installations" => member.installations.len(),
            });
        }
        let title = names.title(&conversation).await;
        let head = object! {
            "id" => conversation.id().to_string(),
            "type" => shapes::kind(conversation.kind()),
            "name" => title,
            "epoch" => Value::exact(conversation.epoch()),
            "state" => conversation.trouble().unwrap_or_else(|| "all is well".to_owned()),
        };
        if out.is_json() {
            let all = head
                .with("reading", reading)
                .with("agreement", agreement)
                .with("members", people)
                .with("standing", standings)
                .with("history", history);
            out.result(all)?;
            return Ok(());
        }
        out.text(&head.for_people())?;
        out.text(&format!("\n{}", reading.for_people()))?;
        out.text(&format!("\n{}", agreement.for_people()))?;
        out.text(&format!("\n{}", Value::List(people).for_people()))?;
        out.text(&format!("\n{}", Value::List(standings).for_people()))?;
        out.text(&format!("\n{}", Value::List(history).for_people()))?;
        Ok(())
    }
}

impl Explain {
    /// How far this installation has read, and how far the network is.
    async fn reading(&self, me: &Me, conversation: &Conversation) -> anyhow::Result<Value> {
        let cursor = conversation.cursor().await?;
        let read: Vec<_> = cursor
            .iter()
            .map(|(originator, sequence)| format!("{originator}:{sequence}"))
            .collect();
        let fields = object! { "cursor" => read.join(" ") };
        if self.offline {
            return Ok(fields);
        }
        let ids = [conversation.id().clone()];
        let newest = me.client.network().newest_group_messages(&ids).await?;
        let Some(newest) = newest.into_iter().next().flatten() else {
            return Ok(fields.with("network", "has nothing of it"));
        };
        let place = format!("{}:{}", newest.originator, newest.sequence);
        let behind = newest.is_after(&cursor);
        Ok(fields
            .with("network", place)
            .with("networkTime", shapes::iso(newest.created_ns))
            .with("behind", behind))
    }
}

impl Explain {
    /// Up to where others saw what we saw, and where we parted, as far as they told.
    async fn agreement(&self, conversation: &Conversation) -> anyhow::Result<Value> {
        if self.offline {
            return Ok(object! { "others" => "not asked" });
        }
        let theirs = match conversation.commit_log_of_others().await {
            Ok(theirs) => theirs,
            Err(Error::Network(NetworkError::Unsupported { .. })) => {
                return Ok(object! { "others" => "this network keeps no commit logs" });
            }
            Err(error) => return Err(error.into()),
        };
        let ours = conversation.commit_log().await?;
        Ok(compare(&ours, &theirs))
    }
}

/// Lays our commit log since we made or last joined the group beside that of others.
fn compare(ours: &[CommitLogEntry], theirs: &BTreeMap<u64, Vec<u8>>) -> Value {
    let joined = ours.iter().rposition(|our| our.sequence == 0).unwrap_or(0);
    let ours = &ours[joined..];
    let both = ours
        .iter()
        .filter_map(|our| Some((our, theirs.get(&our.sequence)?)));
    let (agreed, parted): (Vec<_>, Vec<_>) =
        both.partition(|(our, their)| our.authenticator == **their);
    let others = match (agreed.last(), parted.first()) {
        (_, Some((our, _))) => format!("parted from us at epoch {}", our.epoch),
        (Some((our, _)), None) => format!("were with us up to epoch {}", our.epoch),
        (None, None) => "have not told what they saw".to_owned(),
    };
    let fork = parted.first().map(|(our, their)| {
        object! {
            "commit" => Value::exact(our.sequence),
            "epoch" => Value::exact(our.epoch),
            "ours" => short(&our.authenticator),
            "theirs" => short(their),
        }
    });
    object! { "others" => others, "fork" => fork }
}

/// How far each installation of the others, and each other one of ours, is.
async fn standings(
    me: &Me,
    conversation: &Conversation,
    names: &mut Names,
) -> anyhow::Result<Vec<Value>> {
    let mut rows = Vec::new();
    for one in conversation.standings().await? {
        if one.installation == me.client.installation_key() {
            continue;
        }
        rows.push(object! {
            "name" => names.of(one.inbox_id, conversation).await,
            "installationId" => one.installation.to_string(),
            "state" => standing(&one, conversation.epoch()),
            "heardInEpoch" => one.heard.map(|heard| Value::exact(heard.epoch)),
            "heard" => one.heard.map(|heard| shapes::iso(heard.at_ns)),
        });
    }
    Ok(rows)
}

/// How far an installation is, in words. Who keeps silent may be anywhere.
fn standing(one: &Standing, epoch: u64) -> String {
    match (one.place, one.wants_readd, one.heard) {
        (Place::Failed, ..) => "cannot read: it had no usable key package".to_owned(),
        (Place::Missing, ..) => "cannot read yet: the next message adds it".to_owned(),
        (Place::Member, true, _) => "lost the group: asks to be added again".to_owned(),
        (Place::Member, false, None) => "in the group, never heard".to_owned(),
        (Place::Member, false, Some(heard)) => match epoch.saturating_sub(heard.epoch) {
            0 => "up to date".to_owned(),
            1 => "may be behind: last heard one epoch ago".to_owned(),
            epochs => format!("may be behind: last heard {epochs} epochs ago"),
        },
    }
}

/// Enough of an authenticator to tell it from others.
fn short(authenticator: &[u8]) -> String {
    hex::encode(authenticator.get(..8).unwrap_or(authenticator))
}

/// What became of each commit, oldest first.
async fn history(conversation: &Conversation, names: &mut Names) -> anyhow::Result<Vec<Value>> {
    let query = MessageQuery {
        kind: Some(MessageKind::MembershipChange),
        ..MessageQuery::default()
    };
    let changes: BTreeMap<_, _> = conversation
        .messages(&query)
        .await?
        .into_iter()
        .filter_map(|message| Some((message.place?.1, message)))
        .collect();
    let mut rows = Vec::new();
    for entry in conversation.commit_log().await? {
        let who = match entry.sender {
            Some(inbox) => names.of(inbox, conversation).await,
            None => "?".to_owned(),
        };
        let change = changes.get(&entry.sequence);
        let what = match change {
            Some(message) => match &message.content {
                Content::GroupUpdated(updated) => names.change(updated, conversation).await,
                other => shapes::plain_words(other, None),
            },
            None => entry.cause.clone(),
        };
        rows.push(object! {
            "epoch" => Value::exact(entry.epoch),
            "commit" => Value::exact(entry.sequence),
            "time" => change.map(|message| shapes::iso(message.sent_ns)),
            "who" => who,
            "what" => what,
            "outcome" => outcome(&entry),
            "authenticator" => short(&entry.authenticator),
        });
    }
    Ok(rows)
}

fn outcome(entry: &CommitLogEntry) -> String {
    match entry.result {
        1 => "applied".to_owned(),
        2 => "lost a race: of another epoch".to_owned(),
        3 => format!("cannot be opened: {}", entry.cause),
        4 => format!("against the rules: {}", entry.cause),
        other => format!("outcome {other}: {}", entry.cause),
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_client::Heard;

    use super::*;

    #[test]
    fn how_far_an_installation_is_is_said_as_far_as_it_is_known() {
        let words = |place, wants_readd, heard: Option<u64>| {
            let one = Standing {
                inbox_id: folkmoot_wire::InboxId::from_bytes([1; 32]),
                installation: folkmoot_wire::InstallationKey::from_bytes([2; 32]),
                heard: heard.map(|epoch| Heard { epoch, at_ns: 0 }),
                place,
                wants_readd,
            };
            standing(&one, 7)
        };
        assert_eq!(words(Place::Member, false, Some(7)), "up to date");
        assert!(words(Place::Member, false, Some(6)).ends_with("one epoch ago"));
        assert!(words(Place::Member, false, Some(4)).ends_with("3 epochs ago"));
        assert!(words(Place::Member, false, None).contains("never heard"));
        assert!(words(Place::Member, true, Some(7)).contains("asks to be added again"));
        assert!(words(Place::Missing, false, None).starts_with("cannot read yet"));
        assert!(words(Place::Failed, false, None).starts_with("cannot read:"));
    }

    fn entry(sequence: u64, authenticator: u8) -> CommitLogEntry {
        CommitLogEntry {
            sequence,
            result: 1,
            epoch: sequence / 10,
            authenticator: vec![authenticator; 32],
            last_authenticator: Vec::new(),
            sender: None,
            cause: String::new(),
        }
    }

    #[test]
    fn the_first_commit_that_led_elsewhere_is_the_fork() {
        let ours = [entry(0, 1), entry(10, 2), entry(20, 3), entry(30, 4)];
        let others = |theirs: &[(u64, u8)]| {
            let pairs = theirs.iter().map(|(id, byte)| (*id, vec![*byte; 32]));
            compare(&ours, &pairs.collect()).to_json()
        };
        assert_eq!(others(&[]), r#"{"others":"have not told what they saw"}"#);
        assert_eq!(
            others(&[(10, 2), (20, 3)]),
            r#"{"others":"were with us up to epoch 2"}"#
        );
        let parted = others(&[(10, 2), (20, 9), (30, 9)]);
        assert!(
            parted.starts_with(r#"{"others":"parted from us at epoch 2","fork":{"commit":20,"#)
        );
        assert!(
            parted.contains(r#""theirs":"0909090909090909""#),
            "{parted}"
        );
    }
}
