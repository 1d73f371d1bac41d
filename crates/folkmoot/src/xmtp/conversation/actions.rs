//! Choices, and content of any type.

use std::path::PathBuf;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;
use folkmoot_client::SendOptions;
use folkmoot_conversation::content::{
    Action, Actions, Content, ContentTypeId, DecodeError, EncodedContent, Intent, Parts,
};
use serde::Deserialize;

use super::{
    super::{
        output::Output,
        run::{AsClient, Me},
        which::Which,
    },
    files::read_json,
    send::{How, sent},
};
use crate::failure::{Exit, Failure};

/// The arguments of `send-actions`.
#[derive(Args, Debug)]
pub(crate) struct SendActions {
    #[command(flatten)]
    which: Which,
    /// What is to be chosen
    description: String,
    /// A choice: its id, or ID=LABEL; 1 to 10 of them
    #[arg(required = true, value_name = "ID[=LABEL]")]
    actions: Vec<String>,
    /// Name of this set of choices [default: a random one]
    #[arg(long, value_name = "ID")]
    actions_id: Option<String>,
    #[command(flatten)]
    how: How,
}

impl AsClient for SendActions {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let actions = self.actions.iter().map(|text| {
            let (id, label) = text.split_once('=').unwrap_or((text, text));
            Action {
                id: id.to_owned(),
                label: label.to_owned(),
                image_url: None,
                style: None,
                expires_at_ms: None,
            }
        });
        let random = || hex::encode(rand::random::<[u8; 8]>());
        let actions = Actions {
            id: self.actions_id.unwrap_or_else(random),
            description: self.description,
            actions: actions.collect(),
            expires_at_ms: None,
        };
        let name = actions.id.clone();
        let id = self
            .how
            .send(&conversation, &Content::Actions(actions), out)
            .await?;
        out.result(
            sent(id, &conversation)
                .with("actionsId", name)
                .with("optimistic", self.how.optimistic),
        )?;
        Ok(())
    }
}

/// The arguments of `send-intent`.
#[derive(Args, Debug)]
pub(crate) struct SendIntent {
    #[command(flatten)]
    which: Which,
    /// The name of the set of choices
    actions_id: String,
    /// The choice
    action_id: String,
    /// What the app adds: a JSON object
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    #[command(flatten)]
    how: How,
}

impl AsClient for SendIntent {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let metadata = self.metadata.as_deref().map(str::parse).transpose();
        let metadata = metadata.map_err(|cause| {
            Failure::new(
                Exit::Usage,
                "--metadata is no JSON object",
                "such as '{\"a\":1}'",
            )
            .because(anyhow::anyhow!("{cause}"))
        })?;
        let conversation = self.which.find(&me.client).await?;
        let intent = Intent {
            id: self.actions_id,
            action_id: self.action_id,
            metadata,
        };
        let id = self
            .how
            .send(&conversation, &Content::Intent(intent), out)
            .await?;
        out.result(sent(id, &conversation).with("optimistic", self.how.optimistic))?;
        Ok(())
    }
}

/// The arguments of `send-content`.
#[derive(Args, Debug)]
pub(crate) struct SendContent {
    #[command(flatten)]
    which: Which,
    /// The type, such as example.org/dice:1.0
    #[arg(value_name = "TYPE")]
    content_type: ContentTypeId,
    /// JSON object with text or base64, and perhaps fallback and parameters; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Have the receivers' phones notified
    #[arg(long)]
    push: bool,
}

/// A content in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    base64: Option<String>,
    #[serde(default)]
    fallback: Option<String>,
    #[serde(default)]
    parameters: std::collections::BTreeMap<String, String>,
}

impl AsClient for SendContent {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let written: Written = read_json(&self.file)?;
        let content = match (written.text, written.base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => BASE64_STANDARD.decode(base64).map_err(|_| {
                Failure::new(
                    Exit::Usage,
                    "base64 in the file is none",
                    "text, or right base64",
                )
            })?,
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => {
                return Err(Failure::new(
                    Exit::Usage,
                    "the file has both text and base64",
                    "one of them",
                )
                .into());
            }
        };
        let mut parts = Parts::of(self.content_type.clone()).content(content);
        parts.fallback = written.fallback;
        parts.parameters = written.parameters;
        let encoded = parts.seal()?;
        require_understood(&encoded)?;
        let conversation = self.which.find(&me.client).await?;
        let options = SendOptions {
            should_push: Some(self.push),
            ..SendOptions::default()
        };
        let id = conversation.send_encoded(&encoded, options).await?;
        out.result(sent(id, &conversation).with("contentType", self.content_type.to_string()))?;
        Ok(())
    }
}

/// A content under the name of a type that we know must be one of that type: others refuse to show
/// it otherwise.
///
/// # Errors
///
/// [`Failure`] says what is wrong with it.
pub(super) fn require_understood(encoded: &EncodedContent) -> anyhow::Result<Content> {
    match Content::try_decode(encoded) {
        Ok(content) => Ok(content),
        Err(DecodeError::UnknownType(_)) => Ok(Content::Custom(encoded.clone())),
        Err(cause) => Err(Failure::new(
            Exit::Usage,
            "the content is not what its type says",
            "what the type asks for, or a type of your own such as example.org/dice:1.0",
        )
        .because(cause)
        .into()),
    }
}
