use proptest::prelude::*;

use super::{Element, Event, Limits, Reader, XmlError};

const OPEN: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' to='a.example'>";

fn read(text: &str) -> Result<Vec<Event>, XmlError> {
    read_in_pieces(text.as_bytes(), text.len().max(1), Limits::CLIENT)
}

fn read_in_pieces(bytes: &[u8], piece: usize, limits: Limits) -> Result<Vec<Event>, XmlError> {
    let mut reader = Reader::new(limits);
    let mut events = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.push(piece);
        while let Some(event) = reader.next()? {
            let over = matches!(event, Event::Close);
            events.push(event);
            if over {
                return Ok(events);
            }
        }
    }
    Ok(events)
}

fn elements(text: &str) -> Vec<Element> {
    let read = read(&format!("{OPEN}{text}")).expect("the text is allowed");
    read.into_iter()
        .filter_map(|event| match event {
            Event::Element(element) => Some(element),
            Event::Open { .. } | Event::Close => None,
        })
        .collect()
}

fn written(element: &Element, around: &str) -> String {
    let mut out = Vec::new();
    element.write(around, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_header_tells_its_namespaces() {
    let read = read(OPEN).unwrap();
    let [
        Event::Open {
            name,
            attributes,
            default_namespace,
        },
    ] = &read[..]
    else {
        panic!("one header, not {read:?}");
    };
    assert!(name.is("http://etherx.jabber.org/streams", "stream"));
    assert_eq!(default_namespace.as_deref(), Some("jabber:client"));
    assert_eq!(attributes.len(), 1);
}

#[test]
fn the_content_of_an_element_is_kept_to_the_byte() {
    let body =
        "<body  xml:lang = \"de\">g&#xfc;n &lt;<![CDATA[<x>]]></body>\n<x xmlns=\"urn:x\"><y/></x>";
    let text = format!("<message to='b@b.example' >{body}</message>");
    let [message] = &elements(&text)[..] else {
        panic!("one element");
    };
    assert_eq!(message.content(), body.as_bytes());
    assert_eq!(message.attribute("to"), Some("b@b.example"));
    let names: Vec<String> = message
        .children()
        .iter()
        .map(|child| child.name.to_string())
        .collect();
    assert_eq!(names, ["{jabber:client}body", "{urn:x}x"]);
    let x = message.child("urn:x", "x").unwrap();
    assert_eq!(message.bytes_of(x), "<x xmlns=\"urn:x\"><y/></x>");
    assert_eq!(message.open(x).unwrap().children().len(), 1);
}

#[test]
fn an_element_may_be_written_for_another_stream() {
    let [message] = &elements("<message id='1'><body>hi</body></message>")[..] else {
        panic!("one element");
    };
    assert_eq!(
        written(message, "jabber:client"),
        "<message id='1'><body>hi</body></message>"
    );
    assert_eq!(
        written(message, ""),
        "<message xmlns='jabber:client' id='1'><body>hi</body></message>"
    );
}

#[test]
fn what_borrows_a_prefix_is_written_anew() {
    for (text, content) in [
        (
            "<iq><db:x a='&amp;'>t&lt;<y/></db:x></iq>",
            "<x xmlns='jabber:server:dialback' a='&amp;'>t&lt;<y xmlns='jabber:client'></y></x>",
        ),
        (
            "<iq xmlns:q='urn:q'><z xmlns='urn:z'><q:y/></z></iq>",
            "<z xmlns='urn:z'><y xmlns='urn:q'></y></z>",
        ),
        (
            "<iq><z xmlns='urn:z' db:k='v' xml:lang='en'/></iq>",
            "<z xmlns='urn:z' xml:lang='en' xmlns:a1='jabber:server:dialback' a1:k='v'></z>",
        ),
        (
            "<message><body xmlns='jabber:client'>hi</body></message>",
            "<body>hi</body>",
        ),
    ] {
        let [element] = &elements(text)[..] else {
            panic!("one element");
        };
        assert_eq!(
            String::from_utf8_lossy(element.content()),
            content,
            "{text}"
        );
        assert_eq!(element.children().len(), 1);
        let child = &element.children()[0];
        assert_eq!(element.bytes_of(child), element.content(), "{text}");
    }
}

#[test]
fn a_prefixed_stanza_is_a_stanza() {
    let [element] =
        &elements("<c:message xmlns:c='jabber:client'><c:body>x</c:body></c:message>")[..]
    else {
        panic!("one element");
    };
    assert!(element.name.is("jabber:client", "message"));
    assert_eq!(
        written(element, "jabber:client"),
        "<message><body>x</body></message>"
    );
}

#[test]
fn white_space_between_elements_is_nothing() {
    let found = elements(" \n<a/>\t <b/>\r\n");
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|element| element.content().is_empty()));
}

#[test]
fn the_end_of_a_stream_is_told() {
    let events = read(&format!("{OPEN}<a/></stream:stream>")).unwrap();
    assert!(matches!(events.last(), Some(Event::Close)));
}

#[test]
fn what_may_not_stand_in_a_stream_is_refused() {
    let after = |text: &str| read(&format!("{OPEN}{text}")).unwrap_err();
    for restricted in [
        "<!-- c -->",
        "<?pi x?>",
        "<a>&mine;</a>",
        "<a><!-- c --></a>",
    ] {
        let error = after(restricted);
        assert!(
            matches!(error, XmlError::Restricted(_)),
            "{restricted}: {error}"
        );
    }
    for broken in [
        "<a></b>",
        "<a",
        "<a b='1' b='2'/>",
        "<p:a/>",
        "<a>\u{1}</a>",
        "<a b=<>/>",
    ] {
        match read(&format!("{OPEN}{broken}")) {
            Err(XmlError::NotWellFormed(_)) => {}
            Ok(events) => assert_eq!((broken, events.len()), ("<a", 1)),
            Err(other) => panic!("{broken}: {other}"),
        }
    }
    assert_eq!(after("text<a/>"), XmlError::LooseText);
    let doctype = read("<!DOCTYPE lolz [<!ENTITY lol 'lol'>]><a>").unwrap_err();
    assert!(matches!(doctype, XmlError::Restricted(_)), "{doctype}");
    let latin = read_in_pieces(b"<a><b>\xfc</b>", 1, Limits::CLIENT).unwrap_err();
    assert!(matches!(latin, XmlError::NotWellFormed(_)), "{latin}");
}

#[test]
fn limits_hold_before_the_element_is_complete() {
    let limits = Limits {
        element_bytes: 100,
        depth: 5,
        children: 3,
    };
    let with = |text: &str| {
        let text = format!("<s xmlns='jabber:client'>{text}");
        read_in_pieces(text.as_bytes(), 10, limits)
    };
    assert!(with(&format!("<a>{}</a>", "x".repeat(93))).is_ok());
    assert_eq!(
        with(&format!("<a>{}", "x".repeat(98))).unwrap_err(),
        XmlError::TooLong { limit: 100 }
    );
    assert_eq!(
        with("<a><a><a><a><a>").unwrap_err(),
        XmlError::TooDeep { limit: 5 }
    );
    assert_eq!(
        with("<a><b/><b/><b/><b/>").unwrap_err(),
        XmlError::TooMany { limit: 3 }
    );
    assert!(with(&"<a/>".repeat(200)).is_ok());
}

#[test]
fn a_reader_between_elements_holds_no_bytes() {
    let mut reader = Reader::new(Limits::CLIENT);
    reader.push(OPEN.as_bytes());
    reader.push(b"<a/>");
    while reader.next().unwrap().is_some() {}
    assert!(reader.is_idle());
}

#[test]
fn one_element_alone_is_read() {
    assert!(Element::parse(b" <a xmlns='u'/> ", Limits::CLIENT).is_ok());
    for wrong in [&b""[..], b"<a/><b/>", b"<a>", b"x", b"<a/></r>", b"<a/>x"] {
        let read = Element::parse(wrong, Limits::CLIENT);
        assert!(read.is_err(), "{}", String::from_utf8_lossy(wrong));
    }
}

proptest! {
    /// TCP may cut the bytes anywhere.
    #[test]
    fn events_do_not_depend_on_packet_borders(piece in 1_usize..40) {
        let text = format!(
            "{OPEN} <message to='ü@b'><body>h\u{1f600}&amp;</body><db:y/></message><iq id='1'/>\n\
             <presence><show>away</show></presence></stream:stream>"
        );
        let shape = |events: Vec<Event>| events.iter().map(|event| format!("{event:?}")).collect::<Vec<_>>();
        let whole = shape(read(&text).unwrap());
        let pieces = shape(read_in_pieces(text.as_bytes(), piece, Limits::CLIENT).unwrap());
        prop_assert_eq!(pieces, whole);
    }

    /// Whatever comes, an error or a wait, never a panic; and what is read can be written and read.
    #[test]
    fn any_bytes_are_met(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..40) {
        let mut text = OPEN.as_bytes().to_vec();
        text.extend_from_slice(&bytes);
        drop(read_in_pieces(&text, piece, Limits::STRANGER));
        drop(read_in_pieces(&bytes, piece, Limits::STRANGER));
    }

    #[test]
    fn any_markup_is_met(text in "(<[ab]( xmlns='[uv]'| xmlns:p='[uv]')?( (p:|db:)?k='&?[a-z]{0,2};?')?/?>|</[ab]>|[a ]){0,12}") {
        if let Ok(events) = read(&format!("{OPEN}{text}")) {
            for event in events {
                let Event::Element(element) = event else { continue };
                let once = written(&element, "");
                let again = Element::parse(once.as_bytes(), Limits::CLIENT).unwrap();
                prop_assert_eq!(written(&again, ""), once);
            }
        }
    }
}
