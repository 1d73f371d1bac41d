//! Cards and the pictures on them (XEP-0054, XEP-0292), in every form in which clients look for a picture
//! (XEP-0153, XEP-0084, XEP-0398).
//!
//! The picture is kept once, in PEP: [`Avatar`] is what both forms say. A card is kept without it and gets it when
//! somebody reads the card who may see the nodes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};

use crate::{
    stanza::{Condition, PresenceType, Stanza, StanzaError, Type},
    xml::{Element, Markup},
};

/// Cards of XEP-0054.
pub const NS: &str = "vcard-temp";
/// The hash of the picture in presence (XEP-0153).
pub const UPDATE: &str = "vcard-temp:x:update";
/// The node of pictures (XEP-0084).
pub const AVATAR_DATA: &str = "urn:xmpp:avatar:data";
/// The node of what is known about the picture.
pub const AVATAR_METADATA: &str = "urn:xmpp:avatar:metadata";
/// The node of cards of XEP-0292.
pub const VCARD4: &str = "urn:xmpp:vcard4";
/// The feature of an account: pictures are converted.
pub const CONVERSION: &str = "urn:xmpp:pep-vcard-conversion:0";

/// Bytes of a picture.
const BYTES: usize = 128 << 10;

/// A picture.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Avatar {
    /// What it is: a media type.
    pub media_type: String,
    /// The file.
    pub data: Vec<u8>,
}

impl Avatar {
    /// The hash by which it is known: SHA-1 in lower-case hex, the item's id in both nodes.
    #[must_use]
    pub fn id(&self) -> String {
        hex(&Sha1::digest(&self.data))
    }

    /// The picture on a card of XEP-0054, `None` when there is none.
    ///
    /// # Errors
    ///
    /// `not-acceptable` for what is no Base64 and for pictures that are too big.
    pub fn on_card(card: &Element) -> Result<Option<Self>, StanzaError> {
        let Some(photo) = card.open_child(NS, "PHOTO") else {
            return Ok(None);
        };
        let Some(binary) = photo
            .text_of(NS, "BINVAL")
            .filter(|text| !text.trim().is_empty())
        else {
            return Ok(None);
        };
        let data = decode(&binary)?;
        let told = photo.text_of(NS, "TYPE").unwrap_or_default();
        Ok(Some(Self {
            media_type: media_type(&data).map_or(told, str::to_owned),
            data,
        }))
    }

    /// The picture of an item of [`AVATAR_DATA`].
    ///
    /// # Errors
    ///
    /// As [`Self::on_card`].
    pub fn of_item(data: &Element) -> Result<Self, StanzaError> {
        let data = decode(&data.text().map_err(|_| Condition::BadRequest)?)?;
        Ok(Self {
            media_type: media_type(&data).unwrap_or("image/png").to_owned(),
            data,
        })
    }

    /// The payload of the item of [`AVATAR_DATA`].
    #[must_use]
    pub fn data_payload(&self) -> Vec<u8> {
        let mut out = Markup::default();
        out.open("data").attribute("xmlns", AVATAR_DATA);
        out.text(&STANDARD.encode(&self.data)).close("data");
        out.into_bytes()
    }

    /// The payload of the item of [`AVATAR_METADATA`].
    #[must_use]
    pub fn metadata_payload(&self) -> Vec<u8> {
        let mut out = Markup::default();
        out.open("metadata").attribute("xmlns", AVATAR_METADATA);
        out.open("info")
            .attribute("bytes", &self.data.len().to_string())
            .attribute("id", &self.id())
            .attribute("type", &self.media_type)
            .end();
        out.close("metadata");
        out.into_bytes()
    }
}

/// The id of the picture that an item of [`AVATAR_METADATA`] is about and that is in [`AVATAR_DATA`]: that of the first
/// `info` without a `url`. `None` when the user has no picture.
#[must_use]
pub fn picture_of(metadata: &Element) -> Option<String> {
    let mut infos = metadata.open_children(AVATAR_METADATA, "info");
    let info = infos.find(|info| info.attribute("url").is_none())?;
    info.attribute("id").map(str::to_lowercase)
}

/// A card as it is kept: without its picture.
#[must_use]
pub fn without_photo(card: &Element) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("vCard").attribute("xmlns", NS);
    for child in card
        .children()
        .iter()
        .filter(|child| !child.name.is(NS, "PHOTO"))
    {
        out.raw(&card.bytes_of(child));
    }
    out.close("vCard");
    out.into_bytes()
}

/// The payload that answers a question for a card: what is kept, with the picture if there is one and who asked may
/// see it.
///
/// # Errors
///
/// When `kept` is not what [`without_photo`] wrote.
pub fn with_photo(kept: Option<&[u8]>, avatar: Option<&Avatar>) -> Result<Vec<u8>, StanzaError> {
    let mut out = Markup::default();
    out.open("vCard").attribute("xmlns", NS);
    if let Some(kept) = kept {
        let card = Element::parse(kept, crate::xml::Limits::SERVER);
        let card = card.map_err(|_| Condition::InternalServerError)?;
        out.raw(card.content());
    }
    if let Some(avatar) = avatar {
        out.open("PHOTO");
        out.with_text("TYPE", &avatar.media_type)
            .with_text("BINVAL", &STANDARD.encode(&avatar.data));
        out.close("PHOTO");
    }
    out.close("vCard");
    Ok(out.into_bytes())
}

/// An available presence, broadcast or directed, with the hash of the account's picture (XEP-0398 §5). Who says with an
/// empty `photo` that it shows none is left alone.
#[must_use]
pub fn with_hash(presence: Stanza, picture: Option<&str>) -> Stanza {
    if presence.kind != Type::Presence(PresenceType::Available) {
        return presence;
    }
    let told = presence
        .child(UPDATE, "x")
        .and_then(|x| presence.open(x).ok()?.text_of(UPDATE, "photo"));
    if told.is_some_and(|told| told.trim().is_empty()) {
        return presence;
    }
    let mut out = Markup::default();
    out.open("x").attribute("xmlns", UPDATE);
    out.with_text("photo", picture.unwrap_or_default())
        .close("x");
    presence
        .without(|child| child.name.is(UPDATE, "x"))
        .with_all(&out.into_bytes())
}

/// What a file is by its first bytes.
fn media_type(data: &[u8]) -> Option<&'static str> {
    if data.starts_with(b"RIFF") && data.get(8..12) == Some(b"WEBP") {
        return Some("image/webp");
    }
    let kinds: [(&[u8], &str); 3] = [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF8", "image/gif"),
    ];
    kinds
        .into_iter()
        .find(|(start, _)| data.starts_with(start))
        .map(|(_, kind)| kind)
}

fn decode(text: &str) -> Result<Vec<u8>, StanzaError> {
    let refused = |text: String| StanzaError::new(Condition::NotAcceptable).text(text);
    let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let data = STANDARD.decode(plain);
    let data = data.map_err(|_| refused("the picture is no Base64".to_owned()))?;
    if data.len() > BYTES {
        return Err(refused(format!("a picture has at most {BYTES} bytes")));
    }
    Ok(data)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{Avatar, NS, UPDATE, picture_of, with_hash, with_photo, without_photo};
    use crate::{
        stanza::{PresenceType, Stanza},
        xml::{Element, Limits},
    };

    fn parse(xml: &[u8]) -> Element {
        Element::parse(xml, Limits::CLIENT).unwrap()
    }

    #[test]
    fn a_picture_is_the_same_on_a_card_and_in_nodes() {
        let card = format!(
            "<vCard xmlns='{NS}'><FN>Ann</FN><PHOTO><TYPE>image/gif</TYPE><BINVAL>\n iVBORw0KGgo= </BINVAL></PHOTO>\
             <NOTE>x</NOTE></vCard>"
        );
        let card = parse(card.as_bytes());
        let avatar = Avatar::on_card(&card).unwrap().unwrap();
        assert_eq!(avatar.media_type, "image/png");
        assert_eq!(avatar.id(), "4caece539b039b16e16206ea2478f8c5ffb2ca05");
        let data = parse(&avatar.data_payload());
        assert_eq!(Avatar::of_item(&data).unwrap(), avatar);
        let metadata = parse(&avatar.metadata_payload());
        assert_eq!(picture_of(&metadata), Some(avatar.id()));
        let kept = without_photo(&card);
        assert_eq!(
            String::from_utf8(kept.clone()).unwrap(),
            "<vCard xmlns='vcard-temp'><FN>Ann</FN><NOTE>x</NOTE></vCard>"
        );
        assert_eq!(with_photo(Some(&kept), None).unwrap(), kept);
        let whole = parse(&with_photo(Some(&kept), Some(&avatar)).unwrap());
        assert_eq!(Avatar::on_card(&whole).unwrap(), Some(avatar));
        assert_eq!(
            with_photo(None, None).unwrap(),
            b"<vCard xmlns='vcard-temp'></vCard>"
        );
    }

    #[test]
    fn a_card_need_not_have_a_picture() {
        let read = |photo: &str| {
            let card = format!("<vCard xmlns='{NS}'>{photo}</vCard>");
            Avatar::on_card(&parse(card.as_bytes()))
        };
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("<PHOTO><BINVAL/></PHOTO>").unwrap(), None);
        assert!(read("<PHOTO><BINVAL>?</BINVAL></PHOTO>").is_err());
        let big = "A".repeat(200_000);
        assert!(read(&format!("<PHOTO><BINVAL>{big}</BINVAL></PHOTO>")).is_err());
    }

    #[test]
    fn the_picture_in_the_node_is_meant() {
        let metadata = parse(
            b"<metadata xmlns='urn:xmpp:avatar:metadata'><info id='a' url='https://a'/><info id='B'/></metadata>",
        );
        assert_eq!(picture_of(&metadata).as_deref(), Some("b"));
        assert_eq!(
            picture_of(&parse(b"<metadata xmlns='urn:xmpp:avatar:metadata'/>")),
            None
        );
    }

    #[test]
    fn presence_tells_the_picture() {
        let told = |xml: &str, picture: Option<&str>| {
            let presence = Stanza::new(PresenceType::Available).with_all(xml.as_bytes());
            let presence = with_hash(presence, picture);
            let x = presence.open(presence.child(UPDATE, "x").unwrap()).unwrap();
            x.text_of(UPDATE, "photo")
        };
        let empty = "<x xmlns='vcard-temp:x:update'><photo/></x>";
        let ready = "<x xmlns='vcard-temp:x:update'/>";
        let other = "<x xmlns='vcard-temp:x:update'><photo>old</photo></x>";
        assert_eq!(told("", Some("h")).as_deref(), Some("h"));
        assert_eq!(told(ready, Some("h")).as_deref(), Some("h"));
        assert_eq!(told(other, Some("h")).as_deref(), Some("h"));
        assert_eq!(told(empty, Some("h")).as_deref(), Some(""));
        assert_eq!(told("", None).as_deref(), Some(""));
        let gone = Stanza::new(PresenceType::Unavailable);
        assert!(!with_hash(gone, Some("h")).has(UPDATE, "x"));
    }
}
