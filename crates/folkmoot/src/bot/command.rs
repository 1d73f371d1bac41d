//! Lines from the bot.
//!
//! What is wrong with a line is told with what is allowed there; nothing in a line ends the
//! program.

use std::path::PathBuf;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use folkmoot_conversation::content::{Actions, RemoteAttachment, Typing};
use folkmoot_wire::{GroupId, MessageId};
use serde::Deserialize;

use super::{
    event::{Code, Form, Trouble},
    lines::LONGEST_LINE,
};
use crate::xmtp::Opening;

/// A line from the bot.
#[expect(
    clippy::large_enum_variant,
    reason = "one line at a time, and only for a moment"
)]
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// The event with this id, and all before it, were worked on.
    Acknowledge(String),
    /// Something to do.
    Command(Command),
}

impl Line {
    /// The word for it.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Acknowledge(_) => "ack",
            Self::Command(command) => command.action.word(),
        }
    }
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    /// What the bot calls it.
    pub(super) id: Option<String>,
    /// What to do.
    pub(super) action: Action,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Say something.
    Send { place: Place, said: Said },
    /// Answer a message.
    Reply { to: MessageId, said: Said },
    /// Put an emoji to a message, or take it away.
    React {
        to: MessageId,
        emoji: String,
        change: Change,
    },
    /// Send a file.
    Attach { place: Place, file: File },
    /// Send where an encrypted file lies.
    AttachRemote {
        place: Place,
        remote: RemoteAttachment,
    },
    /// Rewrite a message of the bot's own.
    Edit { message: MessageId, said: Said },
    /// Take a message back.
    Delete(MessageId),
    /// Say that the bot writes, or has stopped.
    Typing { place: Place, typing: Typing },
    /// Make a group.
    Group {
        members: Vec<String>,
        name: Option<String>,
        description: Option<String>,
    },
    /// Say what the bot thinks of a conversation or a person.
    Consent { whom: Place, state: Consent },
    /// Say that everything up to now was read.
    Read(Place),
    /// Leave a group.
    Leave(Place),
    /// End the program.
    Stop,
}

impl Action {
    /// The word for it in `type`.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Send { .. } => "send",
            Self::Reply { .. } => "reply",
            Self::React { .. } => "react",
            Self::Attach { .. } | Self::AttachRemote { .. } => "attach",
            Self::Edit { .. } => "edit",
            Self::Delete(_) => "delete",
            Self::Typing { .. } => "typing",
            Self::Group { .. } => "group",
            Self::Consent { .. } => "consent",
            Self::Read(_) => "read",
            Self::Leave(_) => "leave",
            Self::Stop => "stop",
        }
    }
}

/// Where to say something.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// In this conversation.
    Conversation(GroupId),
    /// In the conversation of this message.
    Of(MessageId),
    /// In the DM with this person: an inbox id, an address or a contact.
    Person(String),
}

/// What to say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    /// Plain text.
    Text(String),
    /// Text with CommonMark mark-up.
    Markdown(String),
    /// Choices to pick one from.
    Actions(Actions),
}

/// What the bot thinks of somebody.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Consent {
    /// They may write to it.
    Allowed,
    /// They are not listened to.
    Denied,
    /// Neither.
    Unknown,
}

/// Whether a reaction comes or goes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change {
    /// It comes.
    #[default]
    Added,
    /// It goes.
    Removed,
}

/// A file to send.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct File {
    /// Its bytes, or where they are.
    pub(super) source: Source,
    /// Its name.
    pub(super) filename: Option<String>,
    /// Its media type.
    pub(super) mime_type: Option<String>,
}

/// Where the bytes of a file come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// From this file.
    Path(PathBuf),
    /// From the line itself.
    Bytes(Vec<u8>),
}

/// Why a line is not understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    /// The file is not in base64.
    #[error("\"data\" is not base64")]
    Base64,
    /// A file has two sources or none.
    #[error("a file has one of \"file\", \"data\" and \"remote\"")]
    FileSource,
    /// The command's id cannot be used.
    #[error("\"id\" is empty, longer than {LONGEST_ID} bytes, or has control characters")]
    Id,
    /// A group has nobody to be in it.
    #[error("\"members\" is empty")]
    Members,
    /// Where a file lies is not told as it must be.
    #[error("\"remote\": {0}")]
    Remote(String),
    /// It is not an object of the right form.
    #[error("{0}")]
    Json(String),
    /// No conversation, or several.
    #[error("it takes exactly one of {0}")]
    Place(&'static str),
    /// Not a conversation's id.
    #[error("{0:?} is no conversation id")]
    Conversation(String),
    /// Not a message id.
    #[error("{0:?} is no message id")]
    Message(String),
    /// It says nothing, or two things.
    #[error("it takes one of \"text\", \"markdown\" and, to send or reply, \"actions\"; not empty")]
    Said,
    /// A text line has too few or too many fields.
    #[error("{0:?} has {1} fields")]
    Fields(String, usize),
    /// The line was cut.
    #[error("the line is longer than {LONGEST_LINE} bytes")]
    TooLong,
    /// The bytes are no text.
    #[error("the line is not UTF-8")]
    Utf8,
}

/// The longest id of a command, in bytes.
const LONGEST_ID: usize = 128;
/// The longest reaction, in bytes.
const LONGEST_EMOJI: usize = 256;

impl LineError {
    /// The error for the bot.
    pub(super) fn trouble(&self, form: Form) -> Trouble {
        let allowed = match (self, form) {
            (Self::Id, _) => "1 to 128 bytes of printable text, as a string",
            (Self::Conversation(_), _) => "32 hex digits, as in \"conversationId\" of an event",
            (Self::Message(_), _) => "64 hex digits, as in \"messageId\" of an event",
            (Self::TooLong, _) => "a large file by its path: {\"type\":\"attach\",\"file\":…}",
            (Self::Utf8, _) => "UTF-8",
            (_, Form::Json) => {
                "one JSON object on a line: {\"ack\":ID} or {\"type\":T,…} with T one of send, \
                 reply, react, attach, edit, delete, typing, group, consent, read, leave, stop"
            }
            (_, Form::Text) => {
                "fields between tabs: send PLACE TEXT, reply MESSAGE TEXT, react MESSAGE EMOJI, \
                 attach PLACE FILE, edit MESSAGE TEXT, delete MESSAGE, read PLACE, leave PLACE, \
                 stop, ack ID"
            }
        };
        Trouble::new(Code::BadLine, self.to_string(), allowed)
    }
}

/// Understands a line. `None`: it is empty.
///
/// # Errors
///
/// [`LineError`] says what is wrong with it.
pub(super) fn parse(line: &[u8], form: Form) -> Result<Option<Line>, LineError> {
    let line = std::str::from_utf8(line).map_err(|_| LineError::Utf8)?;
    if line.trim().is_empty() {
        return Ok(None);
    }
    match form {
        Form::Json => {
            let wire: Wire = serde_json::from_str(line).map_err(|cause| json_error(&cause))?;
            wire.understood().map(Some)
        }
        Form::Text => text_line(line).map(Some),
    }
}

/// Understands an object that came among others.
///
/// # Errors
///
/// [`LineError`] says what is wrong with it.
pub(super) fn from_json(value: serde_json::Value) -> Result<Line, LineError> {
    let wire: Wire = serde_json::from_value(value).map_err(|cause| json_error(&cause))?;
    wire.understood()
}

fn json_error(cause: &serde_json::Error) -> LineError {
    let text = cause.to_string();
    // In the words of lines, not of Rust.
    let text = text.replace("unknown variant", "unknown type or word");
    LineError::Json(text.replace(" at line 1 column ", ", at byte "))
}

/// The id of a command that is not understood, so that whoever waits for its outcome hears of it.
pub(super) fn id_of(line: &[u8], form: Form) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    match form {
        Form::Json => id_in(&serde_json::from_str(line).ok()?),
        Form::Text => {
            let (_, id) = line.split('\t').next()?.trim_end().split_once('#')?;
            Some(id.to_owned()).filter(|id| is_usable(id))
        }
    }
}

/// The same of an object that came among others.
pub(super) fn id_in(value: &serde_json::Value) -> Option<String> {
    let id = match value.get("id")? {
        serde_json::Value::String(id) => id.clone(),
        serde_json::Value::Number(id) => id.to_string(),
        _ => return None,
    };
    Some(id).filter(|id| is_usable(id))
}

fn is_usable(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len()) && !id.chars().any(char::is_control)
}

/// A line as it is written: an acknowledgement, or anything else.
#[derive(Debug)]
enum Wire {
    Acknowledge(Acknowledgement),
    Command(WireCommand),
}

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        // Not an untagged enum: that one cannot say what is wrong.
        let value = serde_json::Map::deserialize(deserializer)?;
        let is_acknowledgement = value.contains_key("ack") && !value.contains_key("type");
        let value = serde_json::Value::Object(value);
        if is_acknowledgement {
            let read = serde_json::from_value(value).map(Self::Acknowledge);
            read.map_err(D::Error::custom)
        } else {
            let read = serde_json::from_value(value).map(Self::Command);
            read.map_err(D::Error::custom)
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Acknowledgement {
    ack: String,
}

#[derive(Debug, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
enum WireCommand {
    Send {
        id: Option<String>,
        conversation_id: Option<String>,
        to: Option<String>,
        text: Option<String>,
        markdown: Option<String>,
        actions: Option<Actions>,
    },
    Reply {
        id: Option<String>,
        message_id: String,
        text: Option<String>,
        markdown: Option<String>,
        actions: Option<Actions>,
    },
    Edit {
        id: Option<String>,
        message_id: String,
        text: Option<String>,
        markdown: Option<String>,
    },
    Delete {
        id: Option<String>,
        message_id: String,
    },
    Typing {
        id: Option<String>,
        conversation_id: Option<String>,
        to: Option<String>,
        #[serde(default)]
        stopped: bool,
    },
    Group {
        id: Option<String>,
        members: Vec<String>,
        name: Option<String>,
        description: Option<String>,
    },
    Consent {
        id: Option<String>,
        conversation_id: Option<String>,
        to: Option<String>,
        state: Consent,
    },
    React {
        id: Option<String>,
        message_id: String,
        emoji: String,
        #[serde(default)]
        action: Change,
    },
    Attach {
        id: Option<String>,
        conversation_id: Option<String>,
        to: Option<String>,
        file: Option<PathBuf>,
        data: Option<String>,
        remote: Option<serde_json::Value>,
        filename: Option<String>,
        mime_type: Option<String>,
    },
    Read {
        id: Option<String>,
        conversation_id: Option<String>,
        message_id: Option<String>,
    },
    Leave {
        id: Option<String>,
        conversation_id: String,
    },
    Stop {
        id: Option<String>,
    },
}

impl Wire {
    fn understood(self) -> Result<Line, LineError> {
        let command = match self {
            Self::Acknowledge(Acknowledgement { ack }) => return Ok(Line::Acknowledge(ack)),
            Self::Command(command) => command,
        };
        let (id, action) = match command {
            WireCommand::Send {
                id,
                conversation_id,
                to,
                text,
                markdown,
                actions,
            } => {
                let said = said(text, markdown, actions)?;
                let place = place(conversation_id, to)?;
                (id, Action::Send { place, said })
            }
            WireCommand::Reply {
                id,
                message_id,
                text,
                markdown,
                actions,
            } => {
                let (to, said) = (message(&message_id)?, said(text, markdown, actions)?);
                (id, Action::Reply { to, said })
            }
            WireCommand::Edit {
                id,
                message_id,
                text,
                markdown,
            } => {
                let (message, said) = (message(&message_id)?, said(text, markdown, None)?);
                (id, Action::Edit { message, said })
            }
            WireCommand::Delete { id, message_id } => (id, Action::Delete(message(&message_id)?)),
            WireCommand::Typing {
                id,
                conversation_id,
                to,
                stopped,
            } => {
                let typing = match stopped {
                    true => Typing::Stopped,
                    false => Typing::Started,
                };
                let place = place(conversation_id, to)?;
                (id, Action::Typing { place, typing })
            }
            WireCommand::Group {
                id,
                members,
                name,
                description,
            } => {
                if members.is_empty() {
                    return Err(LineError::Members);
                }
                let group = Action::Group {
                    members,
                    name,
                    description,
                };
                (id, group)
            }
            WireCommand::Consent {
                id,
                conversation_id,
                to,
                state,
            } => {
                let whom = place(conversation_id, to)?;
                (id, Action::Consent { whom, state })
            }
            WireCommand::React {
                id,
                message_id,
                emoji,
                action,
            } => (id, react(&message_id, emoji, action)?),
            WireCommand::Attach {
                id,
                conversation_id,
                to,
                file,
                data,
                remote,
                filename,
                mime_type,
            } => {
                let source = match (file, data, remote) {
                    (Some(path), None, None) => Source::Path(path),
                    (None, Some(data), None) => {
                        let bytes = BASE64_STANDARD.decode(data);
                        Source::Bytes(bytes.map_err(|_| LineError::Base64)?)
                    }
                    (None, None, Some(remote)) => {
                        let place = place(conversation_id, to)?;
                        let remote = remote_file(remote, filename)?;
                        return command_line(id, Action::AttachRemote { place, remote });
                    }
                    _ => return Err(LineError::FileSource),
                };
                let file = File {
                    source,
                    filename,
                    mime_type,
                };
                let place = place(conversation_id, to)?;
                (id, Action::Attach { place, file })
            }
            WireCommand::Read {
                id,
                conversation_id,
                message_id,
            } => match (conversation_id, message_id) {
                (Some(text), None) => (id, Action::Read(Place::Conversation(conversation(&text)?))),
                (None, Some(text)) => (id, Action::Read(Place::Of(message(&text)?))),
                _ => return Err(LineError::Place("\"conversationId\", \"messageId\"")),
            },
            WireCommand::Leave {
                id,
                conversation_id,
            } => {
                let place = Place::Conversation(conversation(&conversation_id)?);
                (id, Action::Leave(place))
            }
            WireCommand::Stop { id } => (id, Action::Stop),
        };
        command_line(id, action)
    }
}

fn command_line(id: Option<String>, action: Action) -> Result<Line, LineError> {
    match id {
        Some(id) if !is_usable(&id) => Err(LineError::Id),
        id => Ok(Line::Command(Command { id, action })),
    }
}

fn place(conversation_id: Option<String>, to: Option<String>) -> Result<Place, LineError> {
    match (conversation_id, to) {
        (Some(text), None) => Ok(Place::Conversation(conversation(&text)?)),
        (None, Some(person)) if !person.is_empty() => Ok(Place::Person(person)),
        _ => Err(LineError::Place("\"conversationId\", \"to\"")),
    }
}

fn said(
    text: Option<String>,
    markdown: Option<String>,
    actions: Option<Actions>,
) -> Result<Said, LineError> {
    match (text, markdown, actions) {
        (Some(text), None, None) if !text.is_empty() => Ok(Said::Text(text)),
        (None, Some(markdown), None) if !markdown.is_empty() => Ok(Said::Markdown(markdown)),
        (None, None, Some(actions)) => Ok(Said::Actions(actions)),
        _ => Err(LineError::Said),
    }
}

/// Where a file lies, in the fields of `folkmoot xmtp conversation send-attachment --encrypt`.
fn remote_file(
    value: serde_json::Value,
    filename: Option<String>,
) -> Result<RemoteAttachment, LineError> {
    let opening: Opening =
        serde_json::from_value(value).map_err(|cause| LineError::Remote(cause.to_string()))?;
    let remote = opening.remote();
    let mut remote = remote.map_err(|cause| LineError::Remote(cause.to_string()))?;
    remote.filename = remote.filename.or(filename);
    Ok(remote)
}

fn react(to: &str, emoji: String, change: Change) -> Result<Action, LineError> {
    let to = message(to)?;
    if emoji.is_empty() || emoji.len() > LONGEST_EMOJI {
        return Err(LineError::Json(format!(
            "\"emoji\" has {} bytes, and 1 to {LONGEST_EMOJI} are wanted",
            emoji.len()
        )));
    }
    Ok(Action::React { to, emoji, change })
}

fn conversation(text: &str) -> Result<GroupId, LineError> {
    let id = text.to_ascii_lowercase().parse();
    id.map_err(|_| LineError::Conversation(shortened(text)))
}

fn message(text: &str) -> Result<MessageId, LineError> {
    let id = text.to_ascii_lowercase().parse();
    id.map_err(|_| LineError::Message(shortened(text)))
}

/// Enough of what was written to find it again.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A line of text: `TYPE` or `TYPE#ID`, then fields between tabs.
fn text_line(line: &str) -> Result<Line, LineError> {
    let mut fields = line.split('\t');
    let kind = fields.next().unwrap_or_default().trim_end();
    let fields: Vec<_> = fields.map(unescaped).collect();
    let (kind, id) = match kind.split_once('#') {
        Some((kind, id)) => (kind, Some(id.to_owned())),
        None => (kind, None),
    };
    let anywhere = |text: &str| match text.parse::<GroupId>() {
        Ok(id) if text.len() == GROUP_ID_DIGITS => Place::Conversation(id),
        _ => Place::Person(text.to_owned()),
    };
    let here = |text: &str| Ok(Place::Conversation(conversation(text)?));
    let action = match (kind, &fields[..]) {
        ("ack", [id]) => return Ok(Line::Acknowledge(id.clone())),
        ("send", [to, text]) => Action::Send {
            place: place(None, Some(to.clone())).map(|_| anywhere(to))?,
            said: said(Some(text.clone()), None, None)?,
        },
        ("reply", [to, text]) => Action::Reply {
            to: message(to)?,
            said: said(Some(text.clone()), None, None)?,
        },
        ("react", [to, emoji]) => react(to, emoji.clone(), Change::Added)?,
        ("attach", [to, path]) => Action::Attach {
            place: place(None, Some(to.clone())).map(|_| anywhere(to))?,
            file: File {
                source: Source::Path(path.into()),
                filename: None,
                mime_type: None,
            },
        },
        ("edit", [id, text]) => Action::Edit {
            message: message(id)?,
            said: said(Some(text.clone()), None, None)?,
        },
        ("delete", [id]) => Action::Delete(message(id)?),
        ("read", [to]) => Action::Read(here(to)?),
        ("leave", [to]) => Action::Leave(here(to)?),
        ("stop", []) => Action::Stop,
        (kind, fields) => return Err(LineError::Fields(shortened(kind), fields.len())),
    };
    command_line(id, action)
}

/// The text that an escaped one stands for.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('\\') => plain.push('\\'),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    plain
}

/// Groups have ids of 16 bytes.
const GROUP_ID_DIGITS: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const GROUP: &str = "4fbbaa46de9b6afcc13a9caa35c1b156";

    fn json(line: &str) -> Result<Option<Line>, String> {
        parse(line.as_bytes(), Form::Json).map_err(|error| error.to_string())
    }

    fn text(line: &str) -> Result<Option<Line>, String> {
        parse(line.as_bytes(), Form::Text).map_err(|error| error.to_string())
    }

    fn action(line: Result<Option<Line>, String>) -> Action {
        match line {
            Ok(Some(Line::Command(command))) => command.action,
            other => panic!("{other:?}"),
        }
    }

    fn here() -> Place {
        Place::Conversation(GROUP.parse().unwrap())
    }

    #[test]
    fn every_command_has_a_line_in_both_forms() {
        let id = "ab".repeat(32);
        let message: MessageId = id.parse().unwrap();
        let noon = || Said::Text("at\nnoon".into());
        let pairs = [
            (
                format!(r#"{{"type":"send","conversationId":"{GROUP}","text":"at\nnoon"}}"#),
                format!("send\t{GROUP}\tat\\nnoon"),
                Action::Send {
                    place: here(),
                    said: noon(),
                },
            ),
            (
                r#"{"type":"send","to":"ann","text":"at\nnoon"}"#.to_owned(),
                "send\tann\tat\\nnoon".to_owned(),
                Action::Send {
                    place: Place::Person("ann".into()),
                    said: noon(),
                },
            ),
            (
                format!(r#"{{"type":"reply","messageId":"{id}","text":"at\nnoon"}}"#),
                format!("reply\t{id}\tat\\nnoon"),
                Action::Reply {
                    to: message,
                    said: noon(),
                },
            ),
            (
                format!(r#"{{"type":"react","messageId":"{id}","emoji":"👍"}}"#),
                format!("react\t{id}\t👍"),
                Action::React {
                    to: message,
                    emoji: "👍".into(),
                    change: Change::Added,
                },
            ),
            (
                format!(r#"{{"type":"attach","conversationId":"{GROUP}","file":"a.png"}}"#),
                format!("attach\t{GROUP}\ta.png"),
                Action::Attach {
                    place: here(),
                    file: File {
                        source: Source::Path("a.png".into()),
                        filename: None,
                        mime_type: None,
                    },
                },
            ),
            (
                format!(r#"{{"type":"edit","messageId":"{id}","text":"at\nnoon"}}"#),
                format!("edit\t{id}\tat\\nnoon"),
                Action::Edit {
                    message,
                    said: noon(),
                },
            ),
            (
                format!(r#"{{"type":"delete","messageId":"{id}"}}"#),
                format!("delete\t{id}"),
                Action::Delete(message),
            ),
            (
                format!(r#"{{"type":"read","conversationId":"{GROUP}"}}"#),
                format!("read\t{GROUP}"),
                Action::Read(here()),
            ),
            (
                format!(r#"{{"type":"leave","conversationId":"{GROUP}"}}"#),
                format!("leave\t{GROUP}"),
                Action::Leave(here()),
            ),
            (
                r#"{"type":"stop"}"#.to_owned(),
                "stop".to_owned(),
                Action::Stop,
            ),
        ];
        for (as_json, as_text, wanted) in pairs {
            assert_eq!(action(json(&as_json)), wanted);
            assert_eq!(action(text(&as_text)), wanted);
        }
    }

    #[test]
    fn a_command_has_an_id_in_both_forms() {
        for line in [json(r#"{"type":"stop","id":"a b"}"#), text("stop#a b")] {
            let Ok(Some(Line::Command(command))) = line else {
                panic!("{line:?}")
            };
            assert_eq!(command.id.as_deref(), Some("a b"));
        }
        let wrong = json(r#"{"type":"stop","id":""}"#).unwrap_err();
        assert!(wrong.starts_with("\"id\" is empty"), "{wrong}");
        let long = format!(r#"{{"type":"stop","id":"{}"}}"#, "x".repeat(129));
        assert!(json(&long).is_err());
        assert!(json(r#"{"type":"stop","id":7}"#).is_err());
    }

    #[test]
    fn an_acknowledgement_is_a_line_of_its_own() {
        let wanted = Ok(Some(Line::Acknowledge("17.2".into())));
        assert_eq!(json(r#"{"ack":"17.2"}"#), wanted);
        assert_eq!(text("ack\t17.2"), wanted);
    }

    #[test]
    fn what_is_not_understood_has_its_id_all_the_same() {
        let of = |line: &str, form| id_of(line.as_bytes(), form);
        for (line, id) in [
            (r#"{"type":"nope","id":"1"}"#, Some("1")),
            (r#"{"type":"send","id":4}"#, Some("4")),
            (r#"{"id":"","type":"stop"}"#, None),
            (r#"{"id":{}}"#, None),
            ("nope", None),
        ] {
            assert_eq!(of(line, Form::Json).as_deref(), id, "{line}");
        }
        assert_eq!(of("nope#7\tx", Form::Text).as_deref(), Some("7"));
        assert_eq!(of("nope\tx#7", Form::Text), None);
    }

    #[test]
    fn empty_lines_are_passed_over() {
        assert_eq!(json("  "), Ok(None));
        assert_eq!(text(""), Ok(None));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_named() {
        let of = |line: &str| json(line).unwrap_err();
        for (line, told) in [
            (
                r#"{"type":"sned"}"#,
                "unknown type or word `sned`, expected one of `send`, `reply`",
            ),
            (
                r#"{"type":"reply","txt":""}"#,
                "unknown field `txt`, expected one of",
            ),
            (r#"{"type":"reply"}"#, "missing field `messageId`"),
            (r#"{"text":"hi"}"#, "missing field `type`"),
            ("hello", "expected value, at byte 1"),
            ("[1]", "invalid type: sequence, expected a map"),
            (
                r#"{"ack":7}"#,
                "invalid type: integer `7`, expected a string",
            ),
            (
                r#"{"type":"send","text":"hi"}"#,
                "it takes exactly one of \"conversationId\", \"to\"",
            ),
            (
                r#"{"type":"send","to":"ann"}"#,
                "it takes one of \"text\", \"markdown\"",
            ),
            (
                r#"{"type":"leave","conversationId":"x"}"#,
                "\"x\" is no conversation id",
            ),
            (
                r#"{"type":"reply","messageId":"x","text":"y"}"#,
                "\"x\" is no message id",
            ),
            (
                r#"{"type":"attach","to":"ann","data":"%"}"#,
                "\"data\" is not base64",
            ),
            (r#"{"type":"attach","to":"ann"}"#, "a file has one of"),
            (r#"{"type":"group","members":[]}"#, "\"members\" is empty"),
            (
                r#"{"type":"attach","to":"ann","remote":{"url":"x"}}"#,
                "\"remote\": missing field",
            ),
        ] {
            let found = of(line);
            assert!(found.contains(told), "{line}: {found}");
        }
        let found = text("send\tann").unwrap_err();
        assert_eq!(found, "\"send\" has 1 fields");
        assert!(matches!(parse(b"\xff", Form::Json), Err(LineError::Utf8)));
        let trouble = LineError::Utf8.trouble(Form::Json);
        assert_eq!(trouble.code, Code::BadLine);
    }

    proptest! {
        /// Lines come from anywhere.
        #[test]
        fn no_line_is_too_strange(bytes in vec(any::<u8>(), 0..256)) {
            for form in [Form::Json, Form::Text] {
                drop(parse(&bytes, form));
            }
        }

        /// What almost is a command is told, too.
        #[test]
        fn no_mixture_of_words_is_too_strange(words in vec(select(WORDS), 0..24)) {
            let line = words.concat();
            for form in [Form::Json, Form::Text] {
                if let Err(error) = parse(line.as_bytes(), form) {
                    prop_assert!(!error.trouble(form).message.is_empty());
                }
            }
        }
    }

    const WORDS: &[&str] = &[
        "{", "}", "[", "]", ":", ",", "\"", "\t", "\\", "#", "-1", "1e999", "null", "true",
        "\"type\"", "\"send\"", "\"id\"", "\"ack\"", "\"to\"", "\"text\"", "\"data\"", "send",
        "reply", "stop", "é",
    ];

    #[test]
    fn escapes_stand_for_what_they_say() {
        assert_eq!(unescaped(r"a\tb\nc\\n\q\"), "a\tb\nc\\n\\q\\");
    }
}
