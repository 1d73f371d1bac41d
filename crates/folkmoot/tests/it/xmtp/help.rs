//! What `--help` says, and that every command of the official program is there.

use crate::support::{run, text};

/// All commands of the official program, version 0.2.0, `autocomplete` and `help` aside.
pub(super) const OFFICIAL: &[&str] = &[
    "init",
    "can-message",
    "address-authorized",
    "installation-authorized",
    "inbox-states",
    "revoke-installations",
    "client info",
    "client inbox-id",
    "client sign",
    "client verify-signature",
    "client add-account",
    "client remove-account",
    "client change-recovery-identifier",
    "client key-package-status",
    "client revoke-installations",
    "client revoke-all-other-installations",
    "conversations list",
    "conversations get",
    "conversations get-dm",
    "conversations get-message",
    "conversations create-dm",
    "conversations create-group",
    "conversations hmac-keys",
    "conversations sync",
    "conversations sync-all",
    "conversations stream",
    "conversations stream-all-messages",
    "conversation messages",
    "conversation count-messages",
    "conversation members",
    "conversation permissions",
    "conversation consent-state",
    "conversation list-admins",
    "conversation list-super-admins",
    "conversation debug-info",
    "conversation stream",
    "conversation sync",
    "conversation send-text",
    "conversation send-markdown",
    "conversation send-reply",
    "conversation send-reaction",
    "conversation send-read-receipt",
    "conversation publish-messages",
    "conversation add-members",
    "conversation remove-members",
    "conversation add-admin",
    "conversation remove-admin",
    "conversation add-super-admin",
    "conversation remove-super-admin",
    "conversation update-name",
    "conversation update-description",
    "conversation update-image-url",
    "conversation update-permission",
    "conversation update-consent",
    "conversation request-removal",
    "preferences get-consent",
    "preferences set-consent",
    "preferences inbox-state",
    "preferences inbox-states",
    "preferences sync",
    "preferences stream",
];

#[test]
fn every_command_of_the_official_program_is_there() {
    for command in OFFICIAL {
        let help = help(command);
        assert!(help.contains("Usage: folkmoot xmtp"), "{command}: {help}");
        let example = format!("Example: folkmoot xmtp {command}");
        assert!(help.contains(&example), "{command}: {help}");
        for common in ["--env ", "--env-file", "--json"] {
            let init = *command == "init" && common != "--env ";
            assert!(init || help.contains(common), "{command} has no {common}");
        }
    }
    assert_eq!(OFFICIAL.len(), 61);
}

#[test]
fn help_lists_topics_and_commands() {
    for (name, command) in [
        ("xmtp", ""),
        ("client", "client"),
        ("conversations", "conversations"),
        ("conversation", "conversation"),
        ("preferences", "preferences"),
        ("archive", "archive"),
        ("device_sync", "device-sync"),
    ] {
        insta::assert_snapshot!(format!("help_{name}"), help(command));
    }
}

/// What is special in each command's help, and once what all have.
#[test]
fn help_says_what_each_command_takes() {
    let mut all = String::new();
    for command in OFFICIAL {
        let help = help(command);
        let own = help.split("\nCommon flags:").next().unwrap();
        all += &format!("$ folkmoot xmtp {command} --help\n{}\n\n", own.trim_end());
    }
    insta::assert_snapshot!("help_commands", all);
    let help = help("client info");
    let (_, common) = help.split_once("\nCommon flags:").unwrap();
    insta::assert_snapshot!("help_common_flags", common);
}

fn help(command: &str) -> String {
    let mut arguments = vec!["xmtp"];
    arguments.extend(command.split(' ').filter(|word| !word.is_empty()));
    arguments.push("--help");
    let output = run(&arguments);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{command}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}
