//! `folkmoot xmtp search`: messages by their words.

use clap::Args;
use folkmoot_client::SearchOptions;

use super::{
    follow,
    output::Output,
    run::{AsClient, Me},
    shapes::{self, Shape},
    value::Value,
    which,
};

/// The arguments of `search`.
#[derive(Args, Debug)]
pub(crate) struct Search {
    /// The words
    #[arg(required = true)]
    words: Vec<String>,
    /// Only in this conversation
    #[arg(long, value_name = "ID", add = super::people::completions::conversations())]
    conversation: Option<String>,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,
}

impl AsClient for Search {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = match &self.conversation {
            Some(text) => Some(which::find(&me.client, text).await?.id().clone()),
            None => None,
        };
        let options = SearchOptions {
            conversation,
            limit: Some(self.limit),
            ..SearchOptions::default()
        };
        let mut rows = Vec::new();
        for message in me.client.search(&self.words.join(" "), options).await? {
            let message = follow::with_all(&me.client, &message.id).await?;
            if message.deleted.is_some() {
                continue;
            }
            rows.push(shapes::message(&message, Shape::StreamedOfAll));
        }
        out.result(Value::List(rows))?;
        Ok(())
    }
}
