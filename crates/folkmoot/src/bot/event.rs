//! Lines to the bot.
//!
//! As JSON an event is an object on one line whose `type` says what it is. As text it has seven
//! fields between tabs, the same for every type; `-` stands for nothing.

use std::fmt::Write as _;

use clap::ValueEnum;
use folkmoot_client::Error;

use crate::xmtp::value::{Value, object};

/// In which form lines are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum Form {
    /// JSON, an object on each line
    #[default]
    Json,
    /// Fields between tabs, for shells and the like
    Text,
}

/// A line to the bot: an object with a `type`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event(Value);

/// Why something did not work, in the words of an `error` line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Trouble {
    /// What kind of error it is, for programs.
    pub(super) code: Code,
    /// What happened.
    pub(super) message: String,
    /// What to do, or what is allowed.
    pub(super) remedy: String,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Code {
    /// The line cannot be understood.
    BadLine,
    /// Something failed here.
    Failed,
    /// The bot said too much in this conversation lately.
    LoopGuard,
    /// The network did not do its part.
    Network,
    /// There is no such message, conversation or person.
    NotFound,
    /// Somebody or something does not allow it.
    Refused,
}

impl Code {
    const fn word(self) -> &'static str {
        match self {
            Self::BadLine => "bad_line",
            Self::Failed => "failed",
            Self::LoopGuard => "loop_guard",
            Self::Network => "network",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
        }
    }
}

impl Trouble {
    /// `message` happened; `remedy` is what to do.
    pub(super) fn new(code: Code, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl Event {
    /// An event with these fields; the first is its `type`.
    pub(super) const fn new(fields: Value) -> Self {
        Self(fields)
    }

    /// Everything that was sent before now was handed over.
    pub(super) fn caught_up() -> Self {
        Self(object! { "type" => "caught_up" })
    }

    /// The program is about to end.
    pub(super) fn stop() -> Self {
        Self(object! { "type" => "stop" })
    }

    /// Something did not work: the command with this id, or what stood on this line.
    pub(super) fn error(trouble: Trouble, id: Option<String>, line: Option<u64>) -> Self {
        Self(object! {
            "type" => "error",
            "id" => id,
            "line" => line.map(Value::exact),
            "code" => trouble.code.word(),
            "message" => trouble.message,
            "remedy" => trouble.remedy,
        })
    }

    /// The bot's installation was revoked: nothing comes to it any more.
    pub(super) fn revoked(cause: &Error) -> Self {
        let remedy = cause.remedy().unwrap_or_default();
        let trouble = Trouble::new(Code::Refused, cause.to_string(), remedy);
        Self::error(trouble, None, None)
    }

    /// The event's id, by which it is acknowledged.
    #[cfg(test)]
    pub(super) fn id(&self) -> Option<&str> {
        self.text("id")
    }

    /// Whether it is the first line.
    pub(super) fn is_ready(&self) -> bool {
        self.text("type") == Some("ready")
    }

    /// Whether it says that the loop guard stopped a command.
    pub(super) fn is_of_guard(&self) -> bool {
        self.text("code") == Some(Code::LoopGuard.word())
    }

    /// As a value.
    pub(super) fn into_value(self) -> Value {
        self.0
    }

    /// As a line, with its end.
    pub(super) fn line(&self, form: Form) -> String {
        let mut line = match form {
            Form::Json => self.0.to_json(),
            Form::Text => self.fields(),
        };
        line.push('\n');
        line
    }

    fn fields(&self) -> String {
        let said = ["text", "emoji", "joinedInboxId", "summary", "message"];
        let said = said.iter().find_map(|name| self.text(name));
        let fields = [
            self.text("type"),
            self.text("id"),
            self.text("messageId"),
            self.text("conversationId"),
            self.text("conversationKind"),
            self.text("senderInboxId"),
            said,
        ];
        let fields: Vec<_> = fields
            .iter()
            .map(|field| match field {
                None | Some("") => "-".to_owned(),
                // Said by somebody, and not nothing.
                Some("-") => "\\x2d".to_owned(),
                Some(text) => escaped(text),
            })
            .collect();
        fields.join("\t")
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.0.field(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// A text in which tabs and ends of lines are spelled out: `\t`, `\n`, `\r`, and `\\` for `\`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            control if control.is_ascii_control() => {
                write!(escaped, "\\x{:02x}", u32::from(control)).expect("a string takes all");
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_in_both_forms() {
        let event = Event::new(object! {
            "type" => "message",
            "id" => "17",
            "messageId" => "aa",
            "conversationId" => "bb",
            "conversationKind" => "dm",
            "senderInboxId" => "cc",
            "text" => "at\tnoon\nby the \\lake\u{1b}",
        });
        assert_eq!(
            event.line(Form::Json),
            "{\"type\":\"message\",\"id\":\"17\",\"messageId\":\"aa\",\"conversationId\":\"bb\",\
             \"conversationKind\":\"dm\",\"senderInboxId\":\"cc\",\
             \"text\":\"at\\tnoon\\nby the \\\\lake\\u001b\"}\n"
        );
        assert_eq!(
            event.line(Form::Text),
            "message\t17\taa\tbb\tdm\tcc\tat\\tnoon\\nby the \\\\lake\\x1b\n"
        );
        assert_eq!(event.id(), Some("17"));
    }

    #[test]
    fn what_is_not_there_is_left_out_or_a_dash() {
        assert_eq!(
            Event::caught_up().line(Form::Json),
            "{\"type\":\"caught_up\"}\n"
        );
        assert_eq!(Event::stop().line(Form::Text), "stop\t-\t-\t-\t-\t-\t-\n");
    }

    #[test]
    fn an_error_says_what_happened_and_what_to_do() {
        let trouble = Trouble::new(Code::LoopGuard, "too much", "wait");
        let event = Event::error(trouble.clone(), Some("a".into()), None);
        assert_eq!(
            event.line(Form::Json),
            "{\"type\":\"error\",\"id\":\"a\",\"code\":\"loop_guard\",\"message\":\"too much\",\
             \"remedy\":\"wait\"}\n"
        );
        let event = Event::error(trouble, None, Some(3));
        assert_eq!(event.line(Form::Text), "error\t-\t-\t-\t-\t-\ttoo much\n");
    }
}
