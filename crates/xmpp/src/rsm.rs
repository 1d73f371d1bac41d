//! Paging through long lists (XEP-0059).

use crate::{
    stanza::{Condition, StanzaError},
    xml::{Element, Markup},
};

/// The namespace.
pub const NS: &str = "http://jabber.org/protocol/rsm";

/// From where a page is read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Place {
    /// From the beginning.
    #[default]
    Start,
    /// After the item of that id.
    After(String),
    /// Before the item of that id.
    Before(String),
    /// The last items.
    End,
    /// From the item at that place, counted from 0.
    Index(u64),
}

/// What a client asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PageRequest {
    /// Where.
    pub place: Place,
    /// How many at most, if it says; 0 asks for the count alone.
    pub max: Option<usize>,
}

impl PageRequest {
    /// Reads the `set` in a query; the defaults when there is none.
    ///
    /// # Errors
    ///
    /// `bad-request` for numbers that are none, and for more than one place.
    pub fn read(query: &Element) -> Result<Self, StanzaError> {
        let Some(set) = query.child(NS, "set") else {
            return Ok(Self::default());
        };
        let bad = |text: &str| StanzaError::new(Condition::BadRequest).text(text);
        let set = query.open(set).map_err(|_| Condition::BadRequest)?;
        let text = |name: &str| {
            let child = set.child(NS, name)?;
            set.open(child).ok()?.text().ok()
        };
        let max = match text("max") {
            None => None,
            Some(max) => Some(max.trim().parse().map_err(|_| bad("max is no number"))?),
        };
        let place = match (text("after"), text("before"), text("index")) {
            (None, None, None) => Place::Start,
            (Some(after), None, None) if after.is_empty() => Place::Start,
            (Some(after), None, None) => Place::After(after),
            (None, Some(before), None) if before.is_empty() => Place::End,
            (None, Some(before), None) => Place::Before(before),
            (None, None, Some(index)) => Place::Index(
                index
                    .trim()
                    .parse()
                    .map_err(|_| bad("index is no number"))?,
            ),
            _ => return Err(bad("a page has one place: after, before or index")),
        };
        Ok(Self { place, max })
    }
}

/// What a page was.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PageInfo {
    /// The id of the first item, and its place in the whole list if known.
    pub first: Option<(String, Option<u64>)>,
    /// The id of the last item.
    pub last: Option<String>,
    /// How many items the whole list has, if known.
    pub count: Option<u64>,
}

impl PageInfo {
    /// Writes the `set` of an answer.
    pub fn write(&self, out: &mut Markup) {
        out.open("set").attribute("xmlns", NS);
        if let Some((first, index)) = &self.first {
            let index = index.map(|index| index.to_string());
            out.open("first").maybe("index", index.as_deref());
            out.text(first).close("first");
        }
        if let Some(last) = &self.last {
            out.open("last").text(last).close("last");
        }
        if let Some(count) = self.count {
            out.open("count").text(&count.to_string()).close("count");
        }
        out.close("set");
    }
}

#[cfg(test)]
mod tests {
    use super::{NS, PageInfo, PageRequest, Place};
    use crate::xml::{Element, Limits, Markup};

    fn read(set: &str) -> Result<PageRequest, String> {
        let xml = format!("<query xmlns='urn:q'><set xmlns='{NS}'>{set}</set></query>");
        let query = Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap();
        PageRequest::read(&query).map_err(|error| error.to_string())
    }

    #[test]
    fn a_page_is_asked_for() {
        let page = |place, max| Ok(PageRequest { place, max });
        assert_eq!(read(""), page(Place::Start, None));
        assert_eq!(read("<max>5</max>"), page(Place::Start, Some(5)));
        assert_eq!(
            read("<after>x</after>"),
            page(Place::After("x".into()), None)
        );
        assert_eq!(read("<before/><max>0</max>"), page(Place::End, Some(0)));
        assert_eq!(
            read("<before>x</before>"),
            page(Place::Before("x".into()), None)
        );
        assert_eq!(read("<index>7</index>"), page(Place::Index(7), None));
        for wrong in [
            "<max>-1</max>",
            "<max>x</max>",
            "<after>a</after><before>b</before>",
            "<index/>",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_page_is_described() {
        let mut out = Markup::default();
        PageInfo {
            first: Some(("a&b".into(), Some(0))),
            last: Some("z".into()),
            count: Some(3),
        }
        .write(&mut out);
        assert_eq!(
            String::from_utf8(out.into_bytes()).unwrap(),
            format!(
                "<set xmlns='{NS}'><first index='0'>a&amp;b</first><last>z</last><count>3</count></set>"
            )
        );
    }
}
