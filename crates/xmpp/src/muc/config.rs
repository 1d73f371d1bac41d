//! A room's configuration and its form (XEP-0045 §10, the registrar's `muc#roomconfig` and `muc#roominfo`).

use jid::BareJid;
use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType, Option_};

use crate::stanza::{Condition, StanzaError};

/// The form's type.
pub const ROOM_CONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";
/// The type of what disco tells about a room.
pub const ROOM_INFO: &str = "http://jabber.org/protocol/muc#roominfo";

/// Longest name, in characters.
const NAME: usize = 200;
/// Longest description or password, in characters.
const TEXT: usize = 2000;

/// Who sees the real addresses of occupants.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Whois {
    /// Moderators: the room is semi-anonymous.
    #[default]
    Moderators,
    /// Everybody: it is non-anonymous.
    Anyone,
}

/// Who may send private messages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AllowPrivate {
    /// Everybody in the room.
    #[default]
    Anyone,
    /// Who has voice.
    Participants,
    /// Moderators.
    Moderators,
    /// Nobody.
    Nobody,
}

/// How a room behaves.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the switches of the registrar's form"
)]
pub struct Config {
    /// The name that people read.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Its language, as a BCP 47 tag; empty for none.
    pub lang: String,
    /// Whether it outlives its last occupant.
    pub persistent: bool,
    /// Whether it is listed.
    pub public: bool,
    /// Whether only members may enter.
    pub members_only: bool,
    /// Whether only who has voice may speak.
    pub moderated: bool,
    /// Who sees real addresses.
    pub whois: Whois,
    /// Whether members may invite.
    pub allow_invites: bool,
    /// Whether participants may change the subject.
    pub change_subject: bool,
    /// Who may send private messages.
    pub allow_private: AllowPrivate,
    /// How many may be in it; 0 for as many as the service allows.
    pub max_users: u32,
    /// What one must know to enter.
    pub password: Option<String>,
    /// Whether messages are archived.
    pub archived: bool,
    /// Messages shown to who enters, at most.
    pub history: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            lang: String::new(),
            persistent: false,
            public: true,
            members_only: false,
            moderated: false,
            whois: Whois::Moderators,
            allow_invites: true,
            change_subject: false,
            allow_private: AllowPrivate::Anyone,
            max_users: 0,
            password: None,
            archived: true,
            history: 20,
        }
    }
}

impl Config {
    /// The form that an owner fills in.
    #[must_use]
    pub fn form(&self, owners: &[&BareJid], admins: &[&BareJid]) -> DataForm {
        let jids = |list: &[&BareJid]| list.iter().map(ToString::to_string).collect();
        let fields = vec![
            labelled(text("muc#roomconfig_roomname", &self.name), "Name"),
            labelled(
                text("muc#roomconfig_roomdesc", &self.description),
                "Description",
            ),
            labelled(text("muc#roomconfig_lang", &self.lang), "Language"),
            switch(
                "muc#roomconfig_persistentroom",
                self.persistent,
                "Keep the room when it is empty",
            ),
            switch("muc#roomconfig_publicroom", self.public, "List the room"),
            switch(
                "muc#roomconfig_membersonly",
                self.members_only,
                "Let members in only",
            ),
            switch(
                "muc#roomconfig_moderatedroom",
                self.moderated,
                "Let only those speak who were given voice",
            ),
            list(
                "muc#roomconfig_whois",
                whois_name(self.whois),
                &[("moderators", "Moderators"), ("anyone", "Everybody")],
                "Who sees real addresses",
            ),
            switch(
                "muc#roomconfig_allowinvites",
                self.allow_invites,
                "Let members invite",
            ),
            switch(
                "muc#roomconfig_changesubject",
                self.change_subject,
                "Let participants change the subject",
            ),
            list(
                "muc#roomconfig_allowpm",
                private_name(self.allow_private),
                &[
                    ("anyone", "Everybody"),
                    ("participants", "Who has voice"),
                    ("moderators", "Moderators"),
                    ("none", "Nobody"),
                ],
                "Who may send private messages",
            ),
            labelled(
                text("muc#roomconfig_maxusers", &self.max_users.to_string()),
                "Most occupants, 0 for no bound",
            ),
            switch(
                "muc#roomconfig_passwordprotectedroom",
                self.password.is_some(),
                "Ask for a password",
            ),
            labelled(
                Field::new("muc#roomconfig_roomsecret", FieldType::TextPrivate)
                    .with_value(self.password.as_deref().unwrap_or_default()),
                "Password",
            ),
            switch(
                "muc#roomconfig_enablearchiving",
                self.archived,
                "Keep an archive of the messages",
            ),
            labelled(
                text("muc#maxhistoryfetch", &self.history.to_string()),
                "Messages shown to who enters, at most",
            ),
            many("muc#roomconfig_roomadmins", jids(admins), "Admins"),
            many("muc#roomconfig_roomowners", jids(owners), "Owners"),
        ];
        DataForm::new(DataFormType::Form, ROOM_CONFIG, fields)
    }

    /// The configuration with what a submitted form says; fields that are not in it stay as they are.
    ///
    /// # Errors
    ///
    /// `not-acceptable`, with the field named, for a value that it cannot have.
    pub fn with(&self, form: &DataForm) -> Result<Self, StanzaError> {
        let mut config = self.clone();
        let mut protected = None;
        for field in &form.fields {
            let value = field.values.first().map_or("", String::as_str);
            let name = field.var.as_deref().unwrap_or_default();
            let flag = || boolean(name, value);
            match name {
                "muc#roomconfig_roomname" => config.name = bounded(name, value, NAME)?,
                "muc#roomconfig_roomdesc" => config.description = bounded(name, value, TEXT)?,
                "muc#roomconfig_lang" => config.lang = bounded(name, value, 35)?,
                "muc#roomconfig_persistentroom" => config.persistent = flag()?,
                "muc#roomconfig_publicroom" => config.public = flag()?,
                "muc#roomconfig_membersonly" => config.members_only = flag()?,
                "muc#roomconfig_moderatedroom" => config.moderated = flag()?,
                "muc#roomconfig_whois" => {
                    config.whois = match value {
                        "moderators" => Whois::Moderators,
                        "anyone" => Whois::Anyone,
                        _ => return Err(wrong(name, value)),
                    }
                }
                "muc#roomconfig_allowinvites" => config.allow_invites = flag()?,
                "muc#roomconfig_changesubject" => config.change_subject = flag()?,
                "muc#roomconfig_allowpm" => {
                    config.allow_private = match value {
                        "anyone" => AllowPrivate::Anyone,
                        "participants" => AllowPrivate::Participants,
                        "moderators" => AllowPrivate::Moderators,
                        "none" => AllowPrivate::Nobody,
                        _ => return Err(wrong(name, value)),
                    }
                }
                "muc#roomconfig_maxusers" => config.max_users = number(name, value)?,
                "muc#roomconfig_passwordprotectedroom" => protected = Some(flag()?),
                "muc#roomconfig_roomsecret" => {
                    let secret = bounded(name, value, TEXT)?;
                    config.password = (!secret.is_empty()).then_some(secret);
                }
                "muc#roomconfig_enablearchiving" | "muc#roomconfig_enablelogging" | "mam" => {
                    config.archived = flag()?;
                }
                "muc#maxhistoryfetch" => config.history = number(name, value)?.min(100),
                _ => {}
            }
        }
        match protected {
            Some(false) => config.password = None,
            Some(true) if config.password.is_none() => {
                let text = "a room with a password needs one: fill in muc#roomconfig_roomsecret";
                return Err(StanzaError::new(Condition::NotAcceptable).text(text));
            }
            _ => {}
        }
        Ok(config)
    }

    /// The features by which disco describes the room.
    #[must_use]
    pub fn features(&self) -> [&'static str; 6] {
        let pick = |on, yes, no| if on { yes } else { no };
        [
            pick(self.public, "muc_public", "muc_hidden"),
            pick(self.members_only, "muc_membersonly", "muc_open"),
            pick(self.persistent, "muc_persistent", "muc_temporary"),
            pick(self.moderated, "muc_moderated", "muc_unmoderated"),
            pick(
                self.password.is_some(),
                "muc_passwordprotected",
                "muc_unsecured",
            ),
            pick(
                self.whois == Whois::Anyone,
                "muc_nonanonymous",
                "muc_semianonymous",
            ),
        ]
    }

    /// The status codes that tell occupants what a change from `old` means for them (§10.2.1).
    #[must_use]
    pub fn status_codes_since(&self, old: &Self) -> Vec<u16> {
        let mut codes = Vec::new();
        if self.archived != old.archived {
            codes.push(if self.archived { 170 } else { 171 });
        }
        if self.whois != old.whois {
            codes.push(match self.whois {
                Whois::Anyone => 172,
                Whois::Moderators => 173,
            });
        }
        let (mut mine, mut before) = (self.clone(), old.clone());
        for config in [&mut mine, &mut before] {
            config.archived = false;
            config.whois = Whois::Moderators;
        }
        if mine != before {
            codes.insert(0, 104);
        }
        codes
    }
}

/// What a submitted form says of owners or admins; `None` when it says nothing.
///
/// # Errors
///
/// `jid-malformed` for what is no address.
pub fn addresses_in(form: &DataForm, field: &str) -> Result<Option<Vec<BareJid>>, StanzaError> {
    let field = form
        .fields
        .iter()
        .find(|candidate| candidate.var.as_deref() == Some(field));
    let Some(field) = field else {
        return Ok(None);
    };
    field
        .values
        .iter()
        .map(|value| {
            let text = || format!("{value:?} is no address");
            BareJid::new(value).map_err(|_| StanzaError::new(Condition::JidMalformed).text(text()))
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

fn whois_name(whois: Whois) -> &'static str {
    match whois {
        Whois::Moderators => "moderators",
        Whois::Anyone => "anyone",
    }
}

fn private_name(allow: AllowPrivate) -> &'static str {
    match allow {
        AllowPrivate::Anyone => "anyone",
        AllowPrivate::Participants => "participants",
        AllowPrivate::Moderators => "moderators",
        AllowPrivate::Nobody => "none",
    }
}

fn text(name: &str, value: &str) -> Field {
    Field::text_single(name, value)
}

fn labelled(mut field: Field, label: &str) -> Field {
    field.label = Some(label.to_owned());
    field
}

fn switch(name: &str, on: bool, label: &str) -> Field {
    let value = if on { "1" } else { "0" };
    labelled(
        Field::new(name, FieldType::Boolean).with_value(value),
        label,
    )
}

fn list(name: &str, value: &str, options: &[(&str, &str)], label: &str) -> Field {
    let mut field = Field::new(name, FieldType::ListSingle).with_value(value);
    field.options = options
        .iter()
        .map(|(value, label)| Option_ {
            label: Some((*label).to_owned()),
            value: (*value).to_owned(),
        })
        .collect();
    labelled(field, label)
}

fn many(name: &str, values: Vec<String>, label: &str) -> Field {
    let mut field = Field::new(name, FieldType::JidMulti);
    field.values = values;
    labelled(field, label)
}

fn wrong(field: &str, value: &str) -> StanzaError {
    StanzaError::new(Condition::NotAcceptable).text(format!("{field} cannot be {value:?}"))
}

fn boolean(field: &str, value: &str) -> Result<bool, StanzaError> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(wrong(field, value)),
    }
}

fn number(field: &str, value: &str) -> Result<u32, StanzaError> {
    match value {
        "" | "none" => Ok(0),
        written => written.parse().map_err(|_| wrong(field, value)),
    }
}

fn bounded(field: &str, value: &str, limit: usize) -> Result<String, StanzaError> {
    if value.chars().count() > limit {
        let text = format!("{field} has more than {limit} characters");
        return Err(StanzaError::new(Condition::NotAcceptable).text(text));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use jid::BareJid;
    use xmpp_parsers::data_forms::{DataForm, DataFormType, Field};

    use super::{AllowPrivate, Config, ROOM_CONFIG, Whois, addresses_in};

    fn submit(fields: &[(&str, &str)]) -> DataForm {
        let fields = fields
            .iter()
            .map(|(name, value)| Field::text_single(name, value))
            .collect();
        DataForm::new(DataFormType::Submit, ROOM_CONFIG, fields)
    }

    #[test]
    fn the_form_says_what_it_was_made_of() {
        let config = Config {
            name: "Tea & cake".into(),
            members_only: true,
            whois: Whois::Anyone,
            allow_private: AllowPrivate::Nobody,
            max_users: 30,
            password: Some("s3".into()),
            ..Config::default()
        };
        let form = config.form(&[&BareJid::new("a@a").unwrap()], &[]);
        assert_eq!(Config::default().with(&form).unwrap(), config);
        let owners = addresses_in(&form, "muc#roomconfig_roomowners").unwrap();
        assert_eq!(owners, Some(vec![BareJid::new("a@a").unwrap()]));
        assert_eq!(addresses_in(&form, "other").unwrap(), None);
    }

    #[test]
    fn an_empty_form_changes_nothing() {
        let config = Config {
            moderated: true,
            ..Config::default()
        };
        assert_eq!(config.with(&submit(&[])).unwrap(), config);
    }

    #[test]
    fn a_value_that_cannot_be_is_named() {
        for (name, value) in [
            ("muc#roomconfig_whois", "nobody"),
            ("muc#roomconfig_maxusers", "-1"),
            ("muc#roomconfig_moderatedroom", "maybe"),
            ("muc#roomconfig_allowpm", "x"),
        ] {
            let error = Config::default()
                .with(&submit(&[(name, value)]))
                .unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        let long = "x".repeat(201);
        assert!(
            Config::default()
                .with(&submit(&[("muc#roomconfig_roomname", &long)]))
                .is_err()
        );
        let without = submit(&[("muc#roomconfig_passwordprotectedroom", "1")]);
        assert!(Config::default().with(&without).is_err());
    }

    #[test]
    fn a_password_can_be_taken_away() {
        let config = Config {
            password: Some("x".into()),
            ..Config::default()
        };
        let form = submit(&[
            ("muc#roomconfig_passwordprotectedroom", "0"),
            ("muc#roomconfig_roomsecret", "x"),
        ]);
        assert_eq!(config.with(&form).unwrap().password, None);
    }

    #[test]
    fn changes_have_codes() {
        let old = Config::default();
        let codes = |change: fn(&mut Config)| {
            let mut new = Config::default();
            change(&mut new);
            new.status_codes_since(&old)
        };
        assert!(codes(|_| ()).is_empty());
        assert_eq!(codes(|new| new.name = "x".into()), [104]);
        assert_eq!(codes(|new| new.whois = Whois::Anyone), [172]);
        assert_eq!(
            codes(|new| {
                new.archived = false;
                new.members_only = true;
            }),
            [104, 171]
        );
    }

    #[test]
    fn disco_describes_it() {
        let features = Config {
            members_only: true,
            ..Config::default()
        }
        .features();
        assert_eq!(
            features,
            [
                "muc_public",
                "muc_membersonly",
                "muc_temporary",
                "muc_unmoderated",
                "muc_unsecured",
                "muc_semianonymous"
            ]
        );
    }
}
