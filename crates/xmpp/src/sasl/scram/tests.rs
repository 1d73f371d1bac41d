use super::{
    BindingType, ChannelBindings, ClientFirst, Failure, Hash, Mechanism, STANDARD, ScramMechanism,
    Verifier, downgrade_hash,
};
use base64::Engine as _;

const NONE: ChannelBindings = ChannelBindings {
    exporter: None,
    server_end_point: None,
};

fn scram(hash: Hash, plus: bool) -> ScramMechanism {
    ScramMechanism { hash, plus }
}

/// RFC 5802 §5 and RFC 7677 §3.
#[test]
fn the_exchanges_of_the_standards_are_spoken() {
    for (hash, salt, client, server, proof, signature) in [
        (
            Hash::Sha1,
            "QSXCR+Q6sek8bf92",
            "fyko+d2lbbFgONRv9qkxdawL",
            "3rfcNHYJY1ZVvWVs7j",
            "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ),
        (
            Hash::Sha256,
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            "rOprNGfwEbeRWgbNEkqO",
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
    ] {
        let salt = STANDARD.decode(salt).unwrap();
        let verifier = Verifier::of_password(hash, "pencil", salt, 4096).unwrap();
        let first = format!("n,,n=user,r={client}");
        let first = ClientFirst::read(first.as_bytes(), scram(hash, false), &NONE, false).unwrap();
        assert_eq!((first.name.as_str(), &first.authzid), ("user", &None));
        let challenge = first.challenge(verifier, server, None).unwrap();
        let last = format!("c=biws,r={client}{server},p={proof}");
        let answer = challenge.verify(last.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), format!("v={signature}"));
        let wrong = last.replace(&proof[..4], "AAAA");
        assert_eq!(
            challenge.verify(wrong.as_bytes()),
            Err(Failure::NotAuthorized)
        );
    }
}

/// A client that knows `password`, for what has no published exchange.
fn answer(
    password: &str,
    header: &str,
    binding: &[u8],
    bare: &str,
    challenge: &str,
    hash: Hash,
) -> String {
    let field = |name: &str| {
        challenge
            .split(',')
            .find_map(|part| part.strip_prefix(name))
            .unwrap()
    };
    let salt = STANDARD.decode(field("s=")).unwrap();
    let salted = hash.salted(password.as_bytes(), &salt, field("i=").parse().unwrap());
    let client_key = hash.hmac(&salted, &[b"Client Key"]);
    let mut bound = header.as_bytes().to_vec();
    bound.extend_from_slice(binding);
    let without = format!("c={},r={}", STANDARD.encode(bound), field("r="));
    let text = format!("{bare},{challenge},{without}");
    let signature = hash.hmac(&hash.digest(&client_key), &[text.as_bytes()]);
    let proof: Vec<u8> = client_key
        .iter()
        .zip(signature)
        .map(|(key, sign)| key ^ sign)
        .collect();
    format!("{without},p={}", STANDARD.encode(proof))
}

fn bound() -> ChannelBindings {
    ChannelBindings {
        exporter: Some([7; 32]),
        server_end_point: Some(vec![9; 32]),
    }
}

#[test]
fn an_exchange_is_bound_to_its_connection() {
    for hash in Hash::ALL {
        for (name, right) in [
            ("tls-exporter", true),
            ("tls-server-end-point", true),
            ("tls-exporter", false),
        ] {
            let verifier = Verifier::of_password(hash, "pencil", vec![1; 16], 100).unwrap();
            let (header, bare) = (format!("p={name},,"), "n=user,r=abc");
            let message = format!("{header}{bare}");
            let first =
                ClientFirst::read(message.as_bytes(), scram(hash, true), &bound(), true).unwrap();
            let challenge = first.challenge(verifier, "def", None).unwrap();
            let data = bound();
            let data = data.data(BindingType::from_name(name).unwrap()).unwrap();
            let data = if right { data } else { &[1; 32] };
            let text = String::from_utf8(challenge.message().to_vec()).unwrap();
            let last = answer("pencil", &header, data, bare, &text, hash);
            assert_eq!(challenge.verify(last.as_bytes()).is_ok(), right, "{name}");
        }
    }
}

#[test]
fn a_downgrade_is_noticed() {
    let read = |message: &str, plus: bool, offered: bool| {
        ClientFirst::read(
            message.as_bytes(),
            scram(Hash::Sha256, plus),
            &bound(),
            offered,
        )
        .map(|first| first.name)
    };
    assert_eq!(
        read("y,,n=user,r=a", false, true),
        Err(Failure::NotAuthorized)
    );
    assert_eq!(read("y,,n=user,r=a", false, false), Ok("user".into()));
    assert_eq!(read("n,,n=user,r=a", false, true), Ok("user".into()));
    assert_eq!(
        read("p=tls-unique,,n=user,r=a", true, true),
        Err(Failure::NotAuthorized)
    );
    for (message, plus) in [
        ("n,,n=user,r=a", true),
        ("p=tls-exporter,,n=user,r=a", false),
    ] {
        assert_eq!(
            read(message, plus, true),
            Err(Failure::MalformedRequest),
            "{message}"
        );
    }
    let none = ClientFirst::read(
        b"p=tls-exporter,,n=user,r=a",
        scram(Hash::Sha256, true),
        &NONE,
        false,
    );
    assert_eq!(none, Err(Failure::NotAuthorized));
}

/// The list of XEP-0474, spelled as its example spells it.
#[test]
fn the_offer_is_hashed() {
    let offered = [
        Mechanism::Scram(scram(Hash::Sha1, true)),
        Mechanism::Scram(scram(Hash::Sha1, false)),
    ];
    let expected = |text: &str| STANDARD.encode(Hash::Sha1.digest(text.as_bytes()));
    assert_eq!(
        downgrade_hash(Hash::Sha1, &offered, &bound()),
        expected("SCRAM-SHA-1\u{1e}SCRAM-SHA-1-PLUS\u{1f}tls-exporter\u{1e}tls-server-end-point")
    );
    assert_eq!(
        downgrade_hash(Hash::Sha1, &offered[1..], &NONE),
        expected("SCRAM-SHA-1")
    );
}

#[test]
fn names_are_unescaped_and_normalised() {
    let name = |written: &str| {
        let message = format!("n,a=other=2Cx,n={written},r=a");
        ClientFirst::read(message.as_bytes(), scram(Hash::Sha1, false), &NONE, false)
    };
    let first = name("Us=3Der=2C").unwrap();
    assert_eq!(first.name, "us=er,");
    assert_eq!(first.authzid.as_deref(), Some("other,x"));
    for wrong in ["us=er", "us=2", "a@b", "", "a\u{7}"] {
        assert_eq!(
            name(wrong).unwrap_err(),
            Failure::MalformedRequest,
            "{wrong:?}"
        );
    }
}

#[test]
fn broken_messages_are_refused() {
    for message in [
        "",
        "n",
        "n,,",
        "n,,n=u",
        "n,,r=a,n=u",
        "n,x,n=u,r=a",
        "n,,n=u,r=",
        "n,,m=1,n=u,r=a",
        "z,,n=u,r=a",
    ] {
        let read = ClientFirst::read(message.as_bytes(), scram(Hash::Sha1, false), &NONE, false);
        assert_eq!(read, Err(Failure::MalformedRequest), "{message}");
    }
    let first = ClientFirst::read(b"n,,n=u,r=a", scram(Hash::Sha1, false), &NONE, false).unwrap();
    let verifier = Verifier::decoy(Hash::Sha1, b"secret", "u");
    assert!(
        first
            .clone()
            .challenge(Verifier::decoy(Hash::Sha256, b"s", "u"), "b", None)
            .is_err()
    );
    let challenge = first.challenge(verifier, "b", Some("hash=")).unwrap();
    assert!(challenge.message().ends_with(b",h=hash="));
    for message in [
        "",
        "c=biws",
        "c=biws,r=ab",
        "c=biws,r=ab,p=*",
        "r=ab,c=biws,p=AAAA",
        ",p=",
    ] {
        assert_eq!(
            challenge.verify(message.as_bytes()),
            Err(Failure::MalformedRequest),
            "{message}"
        );
    }
    assert_eq!(
        challenge.verify(b"c=biws,r=ab,p=AAAA"),
        Err(Failure::NotAuthorized)
    );
}

#[test]
fn a_decoy_is_the_same_each_time_and_nobodys() {
    let decoy = |name: &str| Verifier::decoy(Hash::Sha256, b"secret", name);
    assert_eq!(decoy("nobody"), decoy("nobody"));
    assert_ne!(decoy("nobody").salt, decoy("somebody").salt);
    assert_eq!(
        (decoy("a").salt.len(), decoy("a").stored_key.len()),
        (16, 32)
    );
    assert!(
        !Verifier {
            iterations: 1,
            ..decoy("nobody")
        }
        .accepts("secret")
    );
}

#[test]
fn a_password_is_known_by_its_verifier() {
    let verifier = Verifier::of_password(Hash::Sha512, "I\u{ad}X", vec![1; 16], 10).unwrap();
    assert!(
        verifier.accepts("IX"),
        "SASLprep maps the soft hyphen to nothing"
    );
    assert!(!verifier.accepts("ix"));
    assert!(!format!("{verifier:?}").contains("key"));
    for wrong in ["", "\u{ad}", "a\u{7}"] {
        let made = Verifier::of_password(Hash::Sha1, wrong, vec![1], 1);
        assert_eq!(made, Err(Failure::MalformedRequest), "{wrong:?}");
    }
}
