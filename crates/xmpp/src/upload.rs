//! Places for files (XEP-0363).

use crate::{
    forms::{Field, Form, FormKind},
    moment::Moment,
    stanza::{Condition, ErrorType, StanzaError},
    xml::{Element, Markup},
};

/// The protocol.
pub const NS: &str = "urn:xmpp:http:upload:0";
/// What a file is for.
pub const PURPOSE: &str = "urn:xmpp:http:upload:purpose:0";

/// Bytes of a file's name or type.
const NAME: usize = 255;

/// What a file is for, which decides how long it is kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Purpose {
    /// For a while only.
    Ephemeral,
    /// Part of a message.
    #[default]
    Message,
    /// For good.
    Permanent,
    /// Part of a profile, such as a picture.
    Profile,
}

/// A file for which a place is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// What it is called, without folders.
    pub name: String,
    /// How many bytes it has.
    pub size: u64,
    /// What it is: a media type; empty for anything.
    pub media_type: String,
    /// What it is for.
    pub purpose: Purpose,
    /// When it may go, if who asks says so.
    pub expire_before: Option<Moment>,
}

impl Request {
    /// Reads the payload of an IQ of type get.
    ///
    /// # Errors
    ///
    /// `bad-request` without a name and for a size that is none; `not-acceptable` with `file-too-large` for more than
    /// `limit` bytes.
    pub fn read(request: &Element, limit: u64) -> Result<Self, StanzaError> {
        let bad = |text: &str| StanzaError::new(Condition::BadRequest).text(text);
        let name = request.attribute("filename").unwrap_or_default();
        // Folders are the client's business.
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
        let is_name = !name.is_empty() && name.len() <= NAME && !name.chars().any(char::is_control);
        if !is_name || matches!(name, "." | "..") {
            return Err(bad("the file has no name, or one that it cannot have"));
        }
        let size = request
            .attribute("size")
            .and_then(|size| size.parse::<u64>().ok());
        let size = size.filter(|size| *size > 0);
        let size = size.ok_or_else(|| bad("the size of the file is no number of bytes"))?;
        if size > limit {
            return Err(too_large(limit));
        }
        let media_type = request.attribute("content-type").unwrap_or_default();
        if media_type.len() > NAME || !media_type.chars().all(|c| c.is_ascii_graphic() || c == ' ')
        {
            return Err(bad("content-type is no media type"));
        }
        let purposes = [
            ("ephemeral", Purpose::Ephemeral),
            ("message", Purpose::Message),
            ("permanent", Purpose::Permanent),
            ("profile", Purpose::Profile),
        ];
        let purpose = purposes
            .into_iter()
            .find(|(name, _)| request.child(PURPOSE, name).is_some());
        let expire_before = request
            .open_child(PURPOSE, "ephemeral")
            .and_then(|ephemeral| ephemeral.attribute("expire-before")?.parse().ok());
        Ok(Self {
            name: name.to_owned(),
            size,
            media_type: media_type.to_owned(),
            purpose: purpose.map(|(_, purpose)| purpose).unwrap_or_default(),
            expire_before,
        })
    }
}

/// The payload that gives a place: where to put the file, with which headers, and where to get it from then on. Of
/// headers only `Authorization`, `Cookie` and `Expires` are told.
#[must_use]
pub fn slot(put: &str, headers: &[(&str, &str)], get: &str) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("slot").attribute("xmlns", NS);
    out.open("put").attribute("url", put);
    let allowed = |name: &str| matches!(name, "Authorization" | "Cookie" | "Expires");
    for (name, value) in headers.iter().filter(|(name, _)| allowed(name)) {
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        out.open("header").attribute("name", name);
        out.text(&value).close("header");
    }
    out.close("put");
    out.open("get").attribute("url", get).end();
    out.close("slot");
    out.into_bytes()
}

/// The form by which disco tells how big a file may be.
#[must_use]
pub fn info_form(limit: u64) -> Form {
    Form::new(FormKind::Result, NS).with(Field::text("max-file-size", limit.to_string()))
}

/// The features of a service.
#[must_use]
pub fn features() -> [String; 5] {
    let purpose = |name: &str| format!("{PURPOSE}#{name}");
    [
        NS.to_owned(),
        purpose("ephemeral"),
        purpose("message"),
        purpose("permanent"),
        purpose("profile"),
    ]
}

/// The file has more than `limit` bytes.
#[must_use]
pub fn too_large(limit: u64) -> StanzaError {
    let mut out = Markup::default();
    out.open("file-too-large").attribute("xmlns", NS);
    out.with_text("max-file-size", &limit.to_string())
        .close("file-too-large");
    StanzaError::new(Condition::NotAcceptable)
        .text(format!("a file has at most {limit} bytes"))
        .detail(out.into_element(""))
}

/// The user has no place left until then.
#[must_use]
pub fn over_quota(until: Moment) -> StanzaError {
    let mut out = Markup::default();
    out.open("retry").attribute("xmlns", NS);
    out.attribute("stamp", &until.to_string()).end();
    StanzaError::new(Condition::ResourceConstraint)
        .of_type(ErrorType::Wait)
        .text("all the space for your files is used")
        .detail(out.into_element(""))
}

/// A file's name in a path of a URL.
///
/// ```
/// # use folkmoot_xmpp::upload::path_segment;
/// assert_eq!(path_segment("tr\u{e8}s cool.jpg"), "tr%C3%A8s%20cool.jpg");
/// ```
#[must_use]
pub fn path_segment(name: &str) -> String {
    use std::fmt::Write as _;
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{NS, Purpose, Request, info_form, over_quota, slot};
    use crate::{
        moment::Moment,
        stanza::StanzaError,
        xml::{Element, Limits},
    };

    fn read(attributes: &str, content: &str) -> Result<Request, StanzaError> {
        let xml = format!("<request xmlns='{NS}' {attributes}>{content}</request>");
        Request::read(
            &Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap(),
            1000,
        )
    }

    #[test]
    fn a_place_is_asked_for_a_file() {
        let request = read(
            "filename='../a/tea.png' size='1000' content-type='image/png'",
            "<ephemeral xmlns='urn:xmpp:http:upload:purpose:0' expire-before='2026-01-31T12:00:00Z'/>",
        )
        .unwrap();
        assert_eq!((request.name.as_str(), request.size), ("tea.png", 1000));
        assert_eq!(request.purpose, Purpose::Ephemeral);
        assert!(request.expire_before.is_some());
        assert_eq!(
            read("filename='x' size='1'", "").unwrap().purpose,
            Purpose::Message
        );
        for wrong in [
            "size='1'",
            "filename='' size='1'",
            "filename='..' size='1'",
            "filename='x'",
            "filename='x' size='0'",
            "filename='x' size='-1'",
            "filename='x' size='1' content-type='a&#10;b'",
        ] {
            assert!(read(wrong, "").is_err(), "{wrong}");
        }
        let error = read("filename='x' size='1001'", "").unwrap_err();
        assert_eq!(error.condition.name(), "not-acceptable");
        assert_eq!(
            error
                .detail
                .unwrap()
                .text_of(NS, "max-file-size")
                .as_deref(),
            Some("1000")
        );
    }

    #[test]
    fn a_place_is_given() {
        let told = slot(
            "https://a/put",
            &[("Authorization", "Bearer\r\n x"), ("Host", "evil")],
            "https://a/get",
        );
        assert_eq!(
            String::from_utf8(told).unwrap(),
            "<slot xmlns='urn:xmpp:http:upload:0'><put url='https://a/put'>\
             <header name='Authorization'>Bearer x</header></put><get url='https://a/get'/></slot>"
        );
        assert_eq!(info_form(7).value("max-file-size"), Some("7"));
        assert!(
            over_quota(Moment(0))
                .detail
                .unwrap()
                .attribute("stamp")
                .is_some()
        );
    }
}
