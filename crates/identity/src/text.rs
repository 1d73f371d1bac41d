//! The text that every signer of an update signs.
//!
//! It is rebuilt from the decoded update and never stored. It covers the inbox, the time to the
//! second and the actions in order; it does not cover nonces, relying parties or chains.

use std::fmt::Write;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    MemberKind,
    action::{Action, RevokedMember},
};

const HEADER: &str = "XMTP : Authenticate to inbox";
const FOOTER: &str = "For more info: https://xmtp.org/signatures";

/// The text for the update of `inbox_id` (as the update spells it) made at
/// `client_timestamp_ns` (Unix time; taken as a signed number, so that the greatest ones lie
/// before 1970).
pub(crate) fn signature_text<S>(
    inbox_id: &str,
    client_timestamp_ns: u64,
    actions: &[Action<S>],
) -> String {
    let mut text = format!(
        "{HEADER}\n\nInbox ID: {inbox_id}\nCurrent time: {}\n\n",
        time(client_timestamp_ns)
    );
    for (index, action) in actions.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        write_block(&mut text, action);
    }
    text.push_str("\n\n");
    text.push_str(FOOTER);
    text
}

fn time(client_timestamp_ns: u64) -> String {
    let seconds = client_timestamp_ns.cast_signed().div_euclid(1_000_000_000);
    OffsetDateTime::from_unix_timestamp(seconds)
        .expect("64 bits of nanoseconds reach from 1677 to 2262")
        .format(&Rfc3339)
        .expect("years of four digits in UTC have an RFC 3339 form")
}

fn write_block<S>(text: &mut String, action: &Action<S>) {
    let (title, label, subject): (_, _, &dyn std::fmt::Display) = match action {
        Action::CreateInbox { identifier, .. } => ("Create inbox", "Owner", identifier),
        Action::Add { member, .. } => match member.kind() {
            MemberKind::Ethereum => ("Link address to inbox", "Address", member),
            MemberKind::Passkey => ("Link passkey to inbox", "Passkey", member),
            MemberKind::Installation => ("Grant messaging access to app", "ID", member),
        },
        Action::Revoke { member, .. } => match revoked_kind(member) {
            MemberKind::Ethereum => ("Unlink address from inbox", "Address", member),
            MemberKind::Passkey => ("Unlink passkey from inbox", "Passkey", member),
            MemberKind::Installation => ("Revoke messaging access from app", "ID", member),
        },
        Action::ChangeRecovery { identifier, .. } => {
            ("Change inbox recovery address", "Address", identifier)
        }
    };
    write!(text, "- {title}\n  ({label}: {subject})").expect("a String takes everything");
}

const fn revoked_kind(member: &RevokedMember) -> MemberKind {
    match member {
        RevokedMember::Member(member) => member.kind(),
        RevokedMember::Impossible(_) => MemberKind::Installation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_floored_to_the_second_and_wraps_below_1970() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(1_700_000_000_999_999_999), "2023-11-14T22:13:20Z");
        assert_eq!(time(u64::MAX), "1969-12-31T23:59:59Z");
        assert_eq!(time(i64::MAX.cast_unsigned()), "2262-04-11T23:47:16Z");
        assert_eq!(time(i64::MAX.cast_unsigned() + 1), "1677-09-21T00:12:43Z");
    }

    #[test]
    fn without_actions_four_line_feeds_stand_before_the_footer() {
        let text = signature_text::<()>("ab", 0, &[]);
        assert!(
            text.ends_with(
                "1970-01-01T00:00:00Z\n\n\n\nFor more info: https://xmtp.org/signatures"
            )
        );
    }
}
