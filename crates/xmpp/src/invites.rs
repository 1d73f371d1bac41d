//! Invitations: to be a contact, to make an account, or both (XEP-0401, XEP-0379).

use jid::BareJid;

use crate::{
    forms::{Field, FieldKind, Form, FormKind},
    moment::Moment,
    sasl::account_name,
    stanza::{Condition, StanzaError},
};

/// The command by which a user invites a contact.
pub const INVITE: &str = "urn:xmpp:invite#invite";
/// The command by which an operator invites somebody to make an account.
pub const CREATE_ACCOUNT: &str = "urn:xmpp:invite#create-account";
/// The type of the form that tells an invitation.
pub const INVITATION: &str = "urn:xmpp:invite#invitation";

/// What an invitation is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// An account, of that name if one is given.
    Account {
        /// Where.
        domain: String,
        /// The name.
        username: Option<String>,
        /// Who is a contact of the new account at once.
        inviter: Option<BareJid>,
    },
    /// To be a contact of somebody.
    Contact {
        /// Whose.
        inviter: BareJid,
        /// Whether it may make an account first.
        may_register: bool,
    },
}

/// An invitation as it is stored under its token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invitation {
    /// What for.
    pub purpose: Purpose,
    /// Until when.
    pub expires: Moment,
    /// How often it may still be used.
    pub uses: u32,
}

impl Invitation {
    /// Whether it still holds.
    #[must_use]
    pub fn holds(&self, now: Moment) -> bool {
        self.uses > 0 && now < self.expires
    }

    /// Whether an account may be made with it: what a `preauth` before registration is answered.
    ///
    /// # Errors
    ///
    /// `item-not-found` when it does not hold or is for something else.
    pub fn may_register(&self, now: Moment) -> Result<(), StanzaError> {
        let is_for_it = match &self.purpose {
            Purpose::Account { .. } => true,
            Purpose::Contact { may_register, .. } => *may_register,
        };
        if self.holds(now) && is_for_it {
            return Ok(());
        }
        Err(StanzaError::new(Condition::ItemNotFound)
            .text("the invitation is not known or no longer holds"))
    }

    /// Whether who shows it in a request for presence becomes a contact of `account` without being asked.
    #[must_use]
    pub fn approves(&self, account: &BareJid, now: Moment) -> bool {
        self.holds(now) && self.inviter() == Some(account)
    }

    /// Who becomes a contact of an account that is made with it.
    #[must_use]
    pub fn inviter(&self) -> Option<&BareJid> {
        match &self.purpose {
            Purpose::Account { inviter, .. } => inviter.as_ref(),
            Purpose::Contact { inviter, .. } => Some(inviter),
        }
    }

    /// The name that an account made with it has to have.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        match &self.purpose {
            Purpose::Account { username, .. } => username.as_deref(),
            Purpose::Contact { .. } => None,
        }
    }

    /// The URI that says it.
    ///
    /// ```
    /// # use folkmoot_xmpp::{invites::{Invitation, Purpose}, moment::Moment};
    /// let purpose = Purpose::Contact { inviter: "romeo@a".parse()?, may_register: true };
    /// let invitation = Invitation { purpose, expires: Moment(0), uses: 1 };
    /// assert_eq!(invitation.uri("T"), "xmpp:romeo@a?roster;preauth=T;ibr=y");
    /// # Ok::<(), jid::Error>(())
    /// ```
    #[must_use]
    pub fn uri(&self, token: &str) -> String {
        match &self.purpose {
            Purpose::Account {
                domain,
                username: Some(name),
                ..
            } => format!("xmpp:{}@{domain}?register;preauth={token}", escape(name)),
            Purpose::Account { domain, .. } => format!("xmpp:{domain}?register;preauth={token}"),
            Purpose::Contact {
                inviter,
                may_register,
            } => {
                let name = inviter.node().map_or("", |node| node.as_str());
                let ibr = if *may_register { ";ibr=y" } else { "" };
                format!(
                    "xmpp:{}@{}?roster;preauth={token}{ibr}",
                    escape(name),
                    inviter.domain()
                )
            }
        }
    }

    /// The form that tells it; `landing` is the address of a page that helps who has no app yet.
    #[must_use]
    pub fn form(&self, token: &str, landing: Option<&str>) -> Form {
        let form = Form::new(FormKind::Result, INVITATION)
            .title("An invitation")
            .with(Field::text("uri", self.uri(token)).label("Invitation"));
        let form = match landing {
            Some(landing) => form.with(Field::text("landing-url", landing).label("Page")),
            None => form,
        };
        form.with(Field::text("expire", self.expires.to_string()).label("Until"))
    }
}

/// The form of [`CREATE_ACCOUNT`].
#[must_use]
pub fn account_form() -> Form {
    Form::new(FormKind::Form, CREATE_ACCOUNT)
        .title("Invite somebody to make an account")
        .with(
            Field::new("username", FieldKind::TextSingle)
                .label("Name of the account, if it is to be a certain one"),
        )
        .with(Field::flag("roster-subscription", false).label("Be its first contact"))
}

/// What was filled into [`account_form`]: the name, and whether who invites is a contact.
///
/// # Errors
///
/// `not-acceptable` for a name that no account can have; otherwise as [`Form::check`].
pub fn read_account_form(answer: &Form) -> Result<(Option<String>, bool), StanzaError> {
    let form = account_form().check(answer)?;
    let name = form.value("username").filter(|name| !name.is_empty());
    let name = name.map(account_name).transpose();
    let name = name.map_err(|_| {
        StanzaError::new(Condition::NotAcceptable).text("username can be no name of an account")
    })?;
    Ok((name, form.flag("roster-subscription")?.unwrap_or(false)))
}

/// A name in a URI (RFC 5122 §2.2).
fn escape(name: &str) -> String {
    use std::fmt::Write as _;
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~!$()*+,;=".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use jid::BareJid;

    use super::{CREATE_ACCOUNT, Invitation, Purpose, read_account_form};
    use crate::{
        forms::{Field, Form, FormKind},
        moment::Moment,
    };

    fn bare(text: &str) -> BareJid {
        BareJid::new(text).unwrap()
    }

    fn invitation(purpose: Purpose) -> Invitation {
        Invitation {
            purpose,
            expires: Moment(100),
            uses: 1,
        }
    }

    fn account(username: Option<&str>) -> Invitation {
        invitation(Purpose::Account {
            domain: "a".into(),
            username: username.map(str::to_owned),
            inviter: None,
        })
    }

    #[test]
    fn an_invitation_is_a_uri() {
        assert_eq!(
            account(Some("jul\u{ef}et")).uri("T"),
            "xmpp:jul%C3%AFet@a?register;preauth=T"
        );
        assert_eq!(account(None).uri("T"), "xmpp:a?register;preauth=T");
        let contact = invitation(Purpose::Contact {
            inviter: bare("romeo@a"),
            may_register: false,
        });
        assert_eq!(contact.uri("T"), "xmpp:romeo@a?roster;preauth=T");
        let form = contact.form("T", Some("https://a/i#T"));
        assert_eq!(form.value("uri"), Some("xmpp:romeo@a?roster;preauth=T"));
        assert_eq!(form.value("landing-url"), Some("https://a/i#T"));
    }

    #[test]
    fn an_invitation_holds_for_what_it_is_for() {
        let now = Moment(50);
        let contact = |may_register| {
            invitation(Purpose::Contact {
                inviter: bare("romeo@a"),
                may_register,
            })
        };
        assert!(account(None).may_register(now).is_ok());
        assert!(account(None).may_register(Moment(100)).is_err());
        assert!(contact(true).may_register(now).is_ok());
        assert!(contact(false).may_register(now).is_err());
        assert!(contact(false).approves(&bare("romeo@a"), now));
        assert!(!contact(false).approves(&bare("other@a"), now));
        let used = Invitation {
            uses: 0,
            ..contact(true)
        };
        assert!(!used.approves(&bare("romeo@a"), now) && used.may_register(now).is_err());
    }

    #[test]
    fn an_operator_fills_in_a_form() {
        let answer = |name: &str| {
            Form::new(FormKind::Submit, CREATE_ACCOUNT)
                .with(Field::text("username", name))
                .with(Field::flag("roster-subscription", true))
        };
        assert_eq!(
            read_account_form(&answer("Ann")).unwrap(),
            (Some("ann".into()), true)
        );
        assert_eq!(read_account_form(&answer("")).unwrap(), (None, true));
        assert!(read_account_form(&answer("a@b")).is_err());
    }
}
