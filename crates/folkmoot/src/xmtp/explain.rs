//! `folkmoot group explain ID`: what happened in a group, epoch by epoch.

use std::{collections::BTreeMap, io::Write};

use clap::{Args, Subcommand};
use folkmoot_client::{CommitLogEntry, Conversation, MessageKind, MessageQuery};

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
                .with("members", people)
                .with("history", history);
            out.result(all)?;
            return Ok(());
        }
        out.text(&head.for_people())?;
        out.text(&format!("\n{}", reading.for_people()))?;
        out.text(&format!("\n{}", Value::List(people).for_people()))?;
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
            Some(message) => shapes::plain_words(&message.content, None),
            None => entry.cause.clone(),
        };
        rows.push(object! {
            "epoch" => Value::exact(entry.epoch),
            "commit" => Value::exact(entry.sequence),
            "time" => change.map(|message| shapes::iso(message.sent_ns)),
            "who" => who,
            "what" => what,
            "outcome" => outcome(&entry),
            "authenticator" => hex::encode(entry.authenticator.get(..8).unwrap_or_default()),
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
