//! Archives of messages: what is asked and how it is answered (XEP-0313).
//!
//! Order is the order of arrival; ids are opaque. An id that the archive does not have is an error, never an empty
//! page, or a client would believe that it has everything.

use jid::{BareJid, Jid};
use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType};

use crate::{
    moment::Moment,
    ns,
    rsm::{PageInfo, PageRequest},
    stanza::{Condition, MessageType, Stanza, StanzaError},
    xml::{Element, Markup},
};

/// The protocol and its form.
pub const NS: &str = "urn:xmpp:mam:2";
/// Messages carried in others (XEP-0297).
pub const FORWARD: &str = "urn:xmpp:forward:0";

/// Messages in a page when nobody says how many.
pub const PAGE: usize = 50;
/// Messages in a page at most.
pub const PAGE_LIMIT: usize = 250;
/// Ids that one query may name.
const IDS: usize = 500;

/// Which messages are wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// To or from this address; a bare one matches every resource.
    pub with: Option<Jid>,
    /// Not earlier than this.
    pub start: Option<Moment>,
    /// Not later than this.
    pub end: Option<Moment>,
    /// Before the message of that id.
    pub before_id: Option<String>,
    /// After the message of that id.
    pub after_id: Option<String>,
    /// These alone.
    pub ids: Vec<String>,
    /// Whether messages of rooms count, too.
    pub include_groupchat: bool,
}

/// A question to an archive.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Query {
    /// What the client calls it; every result repeats it.
    pub id: Option<String>,
    /// Which messages.
    pub filter: Filter,
    /// Which page of them.
    pub page: PageRequest,
    /// Whether the page is sent newest first.
    pub flip: bool,
}

impl Query {
    /// Reads the payload of an IQ of type set.
    ///
    /// # Errors
    ///
    /// `feature-not-implemented` for a field that is not known, `bad-request` for values that cannot be,
    /// `jid-malformed` for an address that is none.
    pub fn read(query: &Element) -> Result<Self, StanzaError> {
        let form = query.child("jabber:x:data", "x");
        let form = form.and_then(|form| query.open(form).ok()?.to_dom().ok());
        let form = form.map(DataForm::try_from).transpose();
        let form = form.map_err(|error| {
            StanzaError::new(Condition::BadRequest).text(format!("the form is broken: {error}"))
        })?;
        let filter = match form {
            None => Filter::default(),
            Some(form) => Filter::read(&form)?,
        };
        Ok(Self {
            id: query.attribute("queryid").map(str::to_owned),
            filter,
            page: PageRequest::read(query)?,
            flip: query.child(NS, "flip-page").is_some(),
        })
    }

    /// How many messages to send.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.page.max.unwrap_or(PAGE).min(PAGE_LIMIT)
    }

    /// One result, for the client `to`, from the archive of `archive`. `message` is the message as stored.
    #[must_use]
    pub fn result(&self, archive: &BareJid, to: &Jid, found: &Found) -> Stanza {
        let mut out = Markup::default();
        out.open("result").attribute("xmlns", NS);
        out.maybe("queryid", self.id.as_deref())
            .attribute("id", &found.id);
        write_forwarded(&mut out, Some(found.at), &found.message);
        out.close("result");
        Stanza::new(MessageType::Normal)
            .from(archive.clone())
            .to(to.clone())
            .with_all(&out.into_bytes())
    }
}

/// A message that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its id in the archive.
    pub id: String,
    /// When it arrived.
    pub at: Moment,
    /// The message.
    pub message: Stanza,
}

impl Filter {
    fn read(form: &DataForm) -> Result<Self, StanzaError> {
        let mut filter = Self::default();
        for field in &form.fields {
            let name = field.var.as_deref().unwrap_or_default();
            let value = field.values.first().map_or("", String::as_str);
            let wrong = |condition: Condition| {
                StanzaError::new(condition).text(format!("{name} cannot be {value:?}"))
            };
            let moment = || {
                value
                    .parse()
                    .map(Some)
                    .map_err(|_| wrong(Condition::BadRequest))
            };
            match name {
                "FORM_TYPE" if value == NS => {}
                "with" => {
                    let with = Jid::new(value).map_err(|_| wrong(Condition::JidMalformed))?;
                    filter.with = Some(with);
                }
                "start" => filter.start = moment()?,
                "end" => filter.end = moment()?,
                "before-id" => filter.before_id = Some(value.to_owned()),
                "after-id" => filter.after_id = Some(value.to_owned()),
                "ids" if field.values.len() > IDS => {
                    return Err(StanzaError::new(Condition::PolicyViolation)
                        .text(format!("a query names at most {IDS} ids")));
                }
                "ids" => filter.ids.clone_from(&field.values),
                "include-groupchat" => filter.include_groupchat = matches!(value, "1" | "true"),
                _ => {
                    return Err(StanzaError::new(Condition::FeatureNotImplemented)
                        .text(format!("{name} is no field that can be searched")));
                }
            }
        }
        Ok(filter)
    }
}

/// The form that tells what can be searched, as the answer to an IQ of type get.
#[must_use]
pub fn form() -> minidom::Element {
    let field = |name: &str, kind: FieldType| Field::new(name, kind);
    let fields = vec![
        field("with", FieldType::JidSingle),
        field("start", FieldType::TextSingle),
        field("end", FieldType::TextSingle),
        field("before-id", FieldType::TextSingle),
        field("after-id", FieldType::TextSingle),
        field("ids", FieldType::ListMulti),
        field("include-groupchat", FieldType::Boolean),
    ];
    let form = DataForm::new(DataFormType::Form, NS, fields);
    minidom::Element::builder("query", NS)
        .append(minidom::Element::from(form))
        .build()
}

/// The payload of the answer after the last result. `complete` says that nothing is left in the direction of paging.
#[must_use]
pub fn fin(page: &PageInfo, complete: bool) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("fin").attribute("xmlns", NS);
    out.maybe("complete", complete.then_some("true"));
    page.write(&mut out);
    out.close("fin");
    out.into_bytes()
}

/// The first and the last message of an archive, with which a client knows what it has missed.
#[must_use]
pub fn metadata(ends: Option<[(&str, Moment); 2]>) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("metadata").attribute("xmlns", NS);
    let Some(ends) = ends else {
        out.end();
        return out.into_bytes();
    };
    for (name, (id, at)) in ["start", "end"].into_iter().zip(ends) {
        out.open(name)
            .attribute("id", id)
            .attribute("timestamp", &at.to_string())
            .end();
    }
    out.close("metadata");
    out.into_bytes()
}

/// Writes a message as another carries it (XEP-0297), with the time at which it was said.
pub fn write_forwarded(out: &mut Markup, at: Option<Moment>, message: &Stanza) {
    out.open("forwarded").attribute("xmlns", FORWARD);
    if let Some(at) = at {
        out.open("delay")
            .attribute("xmlns", crate::moment::DELAY)
            .attribute("stamp", &at.to_string())
            .end();
    }
    let mut bytes = Vec::new();
    message.write_in(ns::CLIENT, &mut bytes);
    out.raw(&bytes).close("forwarded");
}

#[cfg(test)]
mod tests {
    use jid::{BareJid, Jid};

    use super::{Found, NS, Query, fin, form, metadata};
    use crate::{
        moment::Moment,
        rsm::{PageInfo, Place},
        stanza::{MessageType, Stanza},
        xml::{Element, Limits},
    };

    fn read(fields: &str, rest: &str) -> Result<Query, String> {
        let xml = format!(
            "<query xmlns='{NS}' queryid='f27'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE' type='hidden'><value>{NS}</value></field>{fields}</x>{rest}</query>"
        );
        let query = Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap();
        Query::read(&query).map_err(|error| error.to_string())
    }

    #[test]
    fn a_question_is_read() {
        let query = read(
            "<field var='with'><value>Juliet@capulet.example</value></field>\
             <field var='start'><value>2010-06-07T00:00:00Z</value></field>\
             <field var='ids'><value>a</value><value>b</value></field>",
            "<set xmlns='http://jabber.org/protocol/rsm'><max>10</max><before/></set><flip-page/>",
        )
        .unwrap();
        assert_eq!(query.id.as_deref(), Some("f27"));
        assert_eq!(
            query.filter.with,
            Some(Jid::new("juliet@capulet.example").unwrap())
        );
        assert_eq!(query.filter.start, "2010-06-07T00:00:00Z".parse().ok());
        assert_eq!(query.filter.ids, ["a", "b"]);
        assert_eq!(
            (query.page.place.clone(), query.page_size(), query.flip),
            (Place::End, 10, true)
        );
        let plain = Element::parse(format!("<query xmlns='{NS}'/>").as_bytes(), Limits::CLIENT);
        assert_eq!(Query::read(&plain.unwrap()).unwrap().page_size(), 50);
    }

    #[test]
    fn what_cannot_be_searched_is_told() {
        for (field, value, condition) in [
            ("colour", "red", "feature-not-implemented"),
            ("with", "@", "jid-malformed"),
            ("end", "yesterday", "bad-request"),
        ] {
            let error = read(
                &format!("<field var='{field}'><value>{value}</value></field>"),
                "",
            );
            assert!(error.unwrap_err().starts_with(condition), "{field}");
        }
    }

    #[test]
    fn a_page_is_never_too_long() {
        let max = "<set xmlns='http://jabber.org/protocol/rsm'><max>100000</max></set>";
        assert_eq!(read("", max).unwrap().page_size(), super::PAGE_LIMIT);
    }

    #[test]
    fn a_result_carries_the_message_as_it_was() {
        let message = Stanza::new(MessageType::Chat)
            .from(Jid::new("a@a/x").unwrap())
            .to(Jid::new("b@b").unwrap())
            .with_xml(b"<body>hi</body>")
            .unwrap();
        let query = Query {
            id: Some("q".into()),
            ..Query::default()
        };
        let found = Found {
            id: "28482".into(),
            at: Moment(0),
            message,
        };
        let archive = BareJid::new("b@b").unwrap();
        let result = query.result(&archive, &Jid::new("b@b/phone").unwrap(), &found);
        let mut out = Vec::new();
        result.write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<message from='b@b' to='b@b/phone'><result xmlns='urn:xmpp:mam:2' queryid='q' id='28482'>\
             <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='1970-01-01T00:00:00.000000Z'/>\
             <message xmlns='jabber:client' from='a@a/x' to='b@b' type='chat'><body>hi</body></message>\
             </forwarded></result></message>"
        );
    }

    #[test]
    fn ends_are_told() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(
            text(fin(&PageInfo::default(), true)),
            "<fin xmlns='urn:xmpp:mam:2' complete='true'><set xmlns='http://jabber.org/protocol/rsm'></set></fin>"
        );
        assert_eq!(text(metadata(None)), "<metadata xmlns='urn:xmpp:mam:2'/>");
        assert!(
            text(metadata(Some([("a", Moment(0)), ("b", Moment(1))])))
                .contains("<end id='b' timestamp='1970")
        );
        assert!(form().children().next().is_some());
    }
}
