//! What the operator of a server does from a client (XEP-0133).

use jid::{BareJid, Jid};

use crate::{
    forms::{Field, FieldKind, Form, FormKind},
    stanza::{Condition, StanzaError},
};

/// The type of every form here.
pub const ADMIN: &str = "http://jabber.org/protocol/admin";

/// Accounts that one command may name.
const ACCOUNTS: usize = 1000;

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $node:literal, $title:literal;)+) => {
        /// The commands, in the order of the specification.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Command { $($(#[$doc])* $name,)+ }

        impl Command {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its node.
            #[must_use]
            pub fn node(self) -> &'static str {
                match self { $(Self::$name => concat!("http://jabber.org/protocol/admin#", $node),)+ }
            }

            /// What people call it.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

commands! {
    /// Create an account.
    AddUser = "add-user", "Add a user";
    /// Delete accounts with all that is theirs.
    DeleteUser = "delete-user", "Delete users";
    /// Keep accounts from logging in.
    DisableUser = "disable-user", "Disable users";
    /// Let them log in again.
    ReenableUser = "reenable-user", "Enable users again";
    /// End what accounts or their resources are connected with.
    EndUserSession = "end-user-session", "End sessions of users";
    /// Give an account a new password.
    ChangeUserPassword = "change-user-password", "Change a user's password";
    /// The contacts of an account.
    GetUserRoster = "get-user-roster", "Get a user's contacts";
    /// When accounts were last here.
    GetUserLastLogin = "get-user-lastlogin", "Get a user's last login";
    /// What is known of an account.
    UserStats = "user-stats", "Get statistics of a user";
    /// How many accounts there are.
    GetRegisteredUsersNum = "get-registered-users-num", "Count the users";
    /// How many are connected.
    GetOnlineUsersNum = "get-online-users-num", "Count the users online";
    /// Which accounts there are.
    GetRegisteredUsersList = "get-registered-users-list", "List the users";
    /// Which are connected.
    GetOnlineUsersList = "get-online-users-list", "List the users online";
    /// Say something to everybody who is connected.
    Announce = "announce", "Say something to everybody online";
    /// End the program.
    Shutdown = "shutdown", "Shut the server down";
}

/// A command with what was filled in.
#[derive(Clone, Eq, PartialEq)]
pub enum Request {
    /// [`Command::AddUser`].
    AddUser(BareJid, String),
    /// [`Command::Announce`].
    Announce(String),
    /// [`Command::ChangeUserPassword`].
    ChangeUserPassword(BareJid, String),
    /// A command about accounts, or resources where it ends sessions.
    Accounts(Command, Vec<Jid>),
    /// A command that asks for a number or a list.
    Ask(Command),
    /// [`Command::Shutdown`], after so many seconds.
    Shutdown(u32),
}

impl std::fmt::Debug for Request {
    /// Without passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AddUser(account, _) => write!(f, "AddUser({account})"),
            Self::Announce(_) => f.write_str("Announce"),
            Self::ChangeUserPassword(account, _) => write!(f, "ChangeUserPassword({account})"),
            Self::Accounts(command, accounts) => write!(f, "{command:?}({accounts:?})"),
            Self::Ask(command) => write!(f, "{command:?}"),
            Self::Shutdown(seconds) => write!(f, "Shutdown({seconds})"),
        }
    }
}

impl Command {
    /// The command of that node.
    #[must_use]
    pub fn from_node(node: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|command| command.node() == node)
    }

    /// The form to fill in; `None` for commands that ask nothing.
    #[must_use]
    pub fn form(self) -> Option<Form> {
        let form = Form::new(FormKind::Form, ADMIN).title(self.title());
        let accounts = || {
            Field::new("accountjids", FieldKind::JidMulti)
                .label("The addresses of the users")
                .required()
        };
        let account = || {
            Field::new("accountjid", FieldKind::JidSingle)
                .label("The address of the user")
                .required()
        };
        let password =
            |name: &str, label: &str| Field::new(name, FieldKind::TextPrivate).label(label);
        Some(match self {
            Self::AddUser => form
                .with(account())
                .with(password("password", "The password").required())
                .with(password("password-verify", "The password again"))
                .with(Field::new("email", FieldKind::TextSingle).label("E-mail address"))
                .with(Field::new("given_name", FieldKind::TextSingle).label("Given name"))
                .with(Field::new("surname", FieldKind::TextSingle).label("Family name")),
            Self::ChangeUserPassword => form
                .with(account())
                .with(password("password", "The new password").required()),
            Self::GetUserRoster
            | Self::GetUserLastLogin
            | Self::DeleteUser
            | Self::DisableUser
            | Self::ReenableUser
            | Self::EndUserSession => form.with(accounts()),
            Self::UserStats => form.with(account()),
            Self::Announce => form.with(
                Field::new("announcement", FieldKind::TextMulti)
                    .label("What to say")
                    .required(),
            ),
            Self::Shutdown => form.with(
                Field::choice(
                    "delay",
                    "30",
                    &[
                        ("0", "Now"),
                        ("30", "30 seconds"),
                        ("60", "A minute"),
                        ("300", "5 minutes"),
                    ],
                )
                .label("When"),
            ),
            Self::GetRegisteredUsersNum
            | Self::GetOnlineUsersNum
            | Self::GetRegisteredUsersList
            | Self::GetOnlineUsersList => return None,
        })
    }

    /// Reads what was filled in.
    ///
    /// # Errors
    ///
    /// `not-acceptable` for what is missing or cannot be, with the field named; `bad-request` for another form.
    pub fn read(self, answer: &Form) -> Result<Request, StanzaError> {
        let refused = |text: &str| StanzaError::new(Condition::NotAcceptable).text(text);
        let Some(asked) = self.form() else {
            return Ok(Request::Ask(self));
        };
        let form = asked.check(answer)?;
        let account = || {
            let address = form.address("accountjid")?;
            let address = address.ok_or_else(|| refused("accountjid is missing"))?;
            Ok::<_, StanzaError>(address.into_bare())
        };
        let password = || form.value("password").unwrap_or_default().to_owned();
        Ok(match self {
            Self::AddUser => {
                let again = form
                    .value("password-verify")
                    .filter(|again| !again.is_empty());
                if again.is_some_and(|again| again != password()) {
                    return Err(refused("password-verify is another password"));
                }
                Request::AddUser(account()?, password())
            }
            Self::ChangeUserPassword => Request::ChangeUserPassword(account()?, password()),
            Self::UserStats => Request::Accounts(self, vec![account()?.into()]),
            Self::Announce => Request::Announce(form.values("announcement").join("\n")),
            Self::Shutdown => Request::Shutdown(form.number("delay")?.unwrap_or(0)),
            _ => {
                let named = form.values("accountjids");
                if named.len() > ACCOUNTS {
                    return Err(refused("accountjids are too many"));
                }
                let accounts = named
                    .iter()
                    .filter(|text| !text.is_empty())
                    .map(|text| Jid::new(text));
                let accounts = accounts.collect::<Result<_, _>>();
                Request::Accounts(
                    self,
                    accounts.map_err(|_| refused("accountjids has what is no address"))?,
                )
            }
        })
    }
}

/// The form that tells values, such as `onlineusersnum`.
#[must_use]
pub fn result(fields: &[(&str, Vec<String>)]) -> Form {
    let form = Form::new(FormKind::Result, ADMIN);
    fields.iter().fold(form, |form, (name, values)| {
        let kind = if name.ends_with("jids") {
            FieldKind::JidMulti
        } else if values.len() == 1 {
            FieldKind::TextSingle
        } else {
            FieldKind::TextMulti
        };
        form.with(Field::new(*name, kind).values(values))
    })
}

#[cfg(test)]
mod tests {
    use jid::{BareJid, Jid};

    use super::{ADMIN, Command, Request, result};
    use crate::forms::{Field, FieldKind, Form, FormKind};

    fn answer(fields: &[(&str, &[&str])]) -> Form {
        let form = Form::new(FormKind::Submit, ADMIN);
        fields.iter().fold(form, |form, (name, values)| {
            form.with(Field::new(*name, FieldKind::TextMulti).values(values.iter().copied()))
        })
    }

    #[test]
    fn each_command_is_found_by_its_node() {
        for command in Command::ALL {
            assert_eq!(Command::from_node(command.node()), Some(*command));
        }
        assert_eq!(
            Command::AddUser.node(),
            "http://jabber.org/protocol/admin#add-user"
        );
    }

    #[test]
    fn a_user_is_added_with_a_password_that_is_nowhere_printed() {
        let fields: [(&str, &[&str]); 3] = [
            ("accountjid", &["bill@a"]),
            ("password", &["tea4two"]),
            ("password-verify", &["tea4two"]),
        ];
        let request = Command::AddUser.read(&answer(&fields)).unwrap();
        assert_eq!(
            request,
            Request::AddUser(BareJid::new("bill@a").unwrap(), "tea4two".into())
        );
        assert_eq!(format!("{request:?}"), "AddUser(bill@a)");
        let mut other = fields;
        other[2].1 = &["tea4three"];
        assert!(Command::AddUser.read(&answer(&other)).is_err());
        assert!(Command::AddUser.read(&answer(&fields[1..])).is_err());
        assert!(Command::AddUser.read(&answer(&fields[..1])).is_err());
    }

    #[test]
    fn accounts_are_named() {
        let read = |values: &[&str]| Command::DeleteUser.read(&answer(&[("accountjids", values)]));
        let all = vec![Jid::new("a@a").unwrap(), Jid::new("b@a").unwrap()];
        assert_eq!(
            read(&["a@a", "b@a"]).unwrap(),
            Request::Accounts(Command::DeleteUser, all)
        );
        assert!(read(&["@"]).is_err());
        assert!(read(&[]).is_err());
        let ask = Command::GetOnlineUsersNum;
        assert_eq!(ask.read(&answer(&[])).unwrap(), Request::Ask(ask));
    }

    #[test]
    fn a_result_has_values() {
        let form = result(&[
            ("onlineusersnum", vec!["3".into()]),
            ("onlineuserjids", vec!["a@a".into()]),
        ]);
        assert_eq!(form.value("onlineusersnum"), Some("3"));
        assert_eq!(
            form.field("onlineuserjids").unwrap().kind,
            Some(FieldKind::JidMulti)
        );
    }
}
