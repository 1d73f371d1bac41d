//! Accounts that clients make for themselves, change and remove (XEP-0077), also by invitation (XEP-0445).

use jid::BareJid;

use crate::{
    forms::{Field, FieldKind, Form, FormKind},
    sasl::account_name,
    stanza::{Condition, IqType, StanzaError},
    xml::{Element, Markup},
};

/// The protocol.
pub const NS: &str = "jabber:iq:register";
/// The stream feature: accounts can be made.
pub const FEATURE: &str = "http://jabber.org/features/iq-register";
/// The stream feature: they can be made with an invitation.
pub const TOKEN_FEATURE: &str = "urn:xmpp:ibr-token:0";
/// What shows an invitation.
pub const PREAUTH: &str = "urn:xmpp:pars:0";

/// Bytes of a password.
const PASSWORD: usize = 1023;

/// What a client asks.
#[derive(Clone, Eq, PartialEq)]
pub enum Request {
    /// Another password for the account it is logged in with.
    ChangePassword(String),
    /// What has to be filled in.
    Form,
    /// A new account.
    Register {
        /// Its name, in the form in which accounts are stored.
        username: String,
        /// Its password.
        password: String,
    },
    /// The account's end.
    Remove,
}

impl std::fmt::Debug for Request {
    /// Without passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ChangePassword(_) => f.write_str("ChangePassword"),
            Self::Form => f.write_str("Form"),
            Self::Register { username, .. } => write!(f, "Register({username})"),
            Self::Remove => f.write_str("Remove"),
        }
    }
}

impl Request {
    /// Reads the payload of an IQ. `account` is who is logged in; nobody before authentication.
    ///
    /// # Errors
    ///
    /// `not-acceptable` for what is missing or can be no name or password; `bad-request` for a removal with more in it;
    /// `forbidden` for a removal by nobody; `not-allowed` for the password of another account.
    pub fn read(
        kind: IqType,
        query: &Element,
        account: Option<&BareJid>,
    ) -> Result<Self, StanzaError> {
        let refused = |condition: Condition, text: &str| StanzaError::new(condition).text(text);
        if kind == IqType::Get {
            return Ok(Self::Form);
        }
        if query.child(NS, "remove").is_some() {
            if query.children().len() > 1 {
                return Err(refused(
                    Condition::BadRequest,
                    "a removal says nothing else",
                ));
            }
            return match account {
                Some(_) => Ok(Self::Remove),
                None => Err(refused(
                    Condition::Forbidden,
                    "log in to remove your account",
                )),
            };
        }
        let form = Form::in_element(query)?;
        let field = |name: &str| match &form {
            Some(form) => form.value(name).map(str::to_owned),
            None => query.text_of(NS, name),
        };
        let given = |name: &str| {
            field(name).filter(|text| !text.is_empty()).ok_or_else(|| {
                StanzaError::new(Condition::NotAcceptable).text(format!("{name} is missing"))
            })
        };
        let username = account_name(&given("username")?).map_err(|_| {
            refused(
                Condition::NotAcceptable,
                "username can be no name of an account",
            )
        })?;
        let password = given("password")?;
        if password.len() > PASSWORD {
            return Err(refused(Condition::NotAcceptable, "password is too long"));
        }
        match account {
            None => Ok(Self::Register { username, password }),
            Some(account) if account.node().is_some_and(|node| node.as_str() == username) => {
                Ok(Self::ChangePassword(password))
            }
            Some(_) => Err(refused(Condition::NotAllowed, "that is not your account")),
        }
    }
}

/// The payload that says what has to be filled in; or, to who is logged in, that there is an account. `reserved` is the
/// name that an invitation gives.
#[must_use]
pub fn form(account: Option<&BareJid>, reserved: Option<&str>) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("query").attribute("xmlns", NS);
    match account {
        Some(account) => {
            let name = account.node().map_or("", |node| node.as_str());
            out.open("registered").end();
            out.with_text("username", name);
            out.open("password").end();
        }
        None => {
            out.with_text("instructions", "Choose a name and a password");
            match reserved {
                Some(name) => out.with_text("username", name),
                None => out.open("username").end(),
            };
            out.open("password").end();
            let name = Field::new("username", FieldKind::TextSingle)
                .label("Name")
                .values(reserved)
                .required();
            let password = Field::new("password", FieldKind::TextPrivate)
                .label("Password")
                .required();
            Form::new(FormKind::Form, NS)
                .title("A new account")
                .with(name)
                .with(password)
                .write(&mut out);
        }
    }
    out.close("query");
    out.into_bytes()
}

/// The token of a `preauth`, in an IQ before registration or in a request for presence; `None` when it is empty.
#[must_use]
pub fn token_of(preauth: &Element) -> Option<&str> {
    let token = preauth
        .name
        .is(PREAUTH, "preauth")
        .then(|| preauth.attribute("token"));
    token.flatten().filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use jid::BareJid;

    use super::{NS, Request, form, token_of};
    use crate::{
        stanza::IqType,
        xml::{Element, Limits},
    };

    fn read(account: Option<&str>, content: &str) -> Result<Request, String> {
        let xml = format!("<query xmlns='{NS}'>{content}</query>");
        let query = Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap();
        let account = account.map(|account| BareJid::new(account).unwrap());
        Request::read(IqType::Set, &query, account.as_ref()).map_err(|error| error.to_string())
    }

    const BILL: &str = "<username>Bill</username><password>tea4two</password>";

    #[test]
    fn an_account_is_made_changed_and_removed() {
        let registered = Request::Register {
            username: "bill".into(),
            password: "tea4two".into(),
        };
        assert_eq!(read(None, BILL), Ok(registered.clone()));
        assert_eq!(format!("{registered:?}"), "Register(bill)");
        let form = "<x xmlns='jabber:x:data' type='submit'><field var='username'><value>bill</value></field>\
            <field var='password'><value>tea4two</value></field></x>";
        assert_eq!(read(None, form), Ok(registered));
        assert_eq!(
            read(Some("bill@a"), BILL),
            Ok(Request::ChangePassword("tea4two".into()))
        );
        assert_eq!(read(Some("bill@a"), "<remove/>"), Ok(Request::Remove));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (account, content, condition) in [
            (None, "", "not-acceptable"),
            (None, "<username>x</username>", "not-acceptable"),
            (None, "<username>x</username><password/>", "not-acceptable"),
            (
                None,
                "<username>a@b</username><password>x</password>",
                "not-acceptable",
            ),
            (None, "<remove/>", "forbidden"),
            (Some("ann@a"), BILL, "not-allowed"),
            (
                Some("ann@a"),
                "<remove/><username>x</username>",
                "bad-request",
            ),
        ] {
            assert!(
                read(account, content).unwrap_err().starts_with(condition),
                "{content}"
            );
        }
    }

    #[test]
    fn the_form_knows_who_is_there() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let account = BareJid::new("bill@a").unwrap();
        assert_eq!(
            text(form(Some(&account), None)),
            "<query xmlns='jabber:iq:register'><registered/><username>bill</username><password/></query>"
        );
        assert!(text(form(None, Some("ann"))).contains("<username>ann</username>"));
        assert!(
            text(form(None, None))
                .contains("<username/><password/><x xmlns='jabber:x:data' type='form'>")
        );
    }

    #[test]
    fn an_invitation_has_a_token() {
        let token = |xml: &[u8]| {
            let preauth = Element::parse(xml, Limits::CLIENT).unwrap();
            token_of(&preauth).map(str::to_owned)
        };
        assert_eq!(
            token(b"<preauth xmlns='urn:xmpp:pars:0' token='t'/>").as_deref(),
            Some("t")
        );
        assert_eq!(token(b"<preauth xmlns='urn:xmpp:pars:0' token=''/>"), None);
        assert_eq!(token(b"<other xmlns='urn:xmpp:pars:0' token='t'/>"), None);
    }
}
