//! What messages say, in words and on one line.

use folkmoot_conversation::content::{GroupUpdated, MetadataFieldChange};
use folkmoot_wire::InboxId;

use super::{
    model::{Body, ChatKey, ChatKind, File, Model},
    text::{Lines, beginning, clean, size},
    when,
};

/// A body on one line, as in lists and quotes. `sender` said it in a conversation of this kind.
pub(crate) fn line(model: &Model, kind: &ChatKind, sender: InboxId, body: &Body) -> String {
    match body {
        Body::Text(text) => clean(beginning(text, MOST_BYTES), Lines::One),
        Body::Files(files) => match &files[..] {
            [one] => format!("[{}]", one.name),
            many => format!("[{} files]", many.len()),
        },
        Body::Update(updated) => update(model, kind, updated),
        Body::Act(act) => format!("{} {act}", subject(model, sender)),
        Body::Deleted(by) => deleted(model, *by),
    }
}

/// What stands in place of a message that was taken back.
pub(crate) fn deleted(model: &Model, by: Option<InboxId>) -> String {
    match by {
        None => "message deleted".to_owned(),
        Some(admin) => format!("message deleted by {}", object(model, admin)),
    }
}

/// A file in words.
pub(crate) fn file(file: &File) -> String {
    match file.bytes {
        Some(bytes) => format!("{} ({})", file.name, size(bytes)),
        None => file.name.clone(),
    }
}

/// What changed in a group, as sentences.
pub(crate) fn update(model: &Model, kind: &ChatKind, updated: &GroupUpdated) -> String {
    let by = updated.initiated_by;
    if matches!(kind, ChatKind::Dm(_)) && !updated.added_inboxes.is_empty() {
        return format!("{} started this conversation", subject(model, by));
    }
    let mut said = Vec::new();
    let mut say = |text: String| {
        said.push(match said.is_empty() {
            true => text,
            // The subject stays the same.
            false => text
                .strip_prefix(&format!("{} ", subject(model, by)))
                .map_or_else(|| text.clone(), str::to_owned),
        });
    };
    let who = subject(model, by);
    if !updated.added_inboxes.is_empty() {
        let added = &updated.added_inboxes;
        match &added[..] {
            [one] if *one == by => say(format!("{who} joined")),
            _ => say(format!("{who} added {}", objects(model, added))),
        }
    }
    if !updated.removed_inboxes.is_empty() {
        let removed = objects(model, &updated.removed_inboxes);
        say(format!("{who} removed {removed}"));
    }
    for left in &updated.left_inboxes {
        say(format!("{} left", subject(model, *left)));
    }
    for (inboxes, what) in [
        (&updated.added_admins, "an admin"),
        (&updated.added_super_admins, "a super admin"),
    ] {
        if !inboxes.is_empty() {
            let whom = objects(model, inboxes);
            say(format!("{who} made {whom} {what}"));
        }
    }
    for (inboxes, what) in [
        (&updated.removed_admins, "admin"),
        (&updated.removed_super_admins, "super admin"),
    ] {
        if !inboxes.is_empty() {
            let whom = objects(model, inboxes);
            say(format!("{who} took the role of {what} from {whom}"));
        }
    }
    for change in &updated.metadata_field_changes {
        let value = clean(change.new_value.as_deref().unwrap_or_default(), Lines::One);
        say(match &*change.field_name {
            "group_name" if value.is_empty() => format!("{who} took the name away"),
            "group_name" => format!("{who} renamed the group to “{value}”"),
            "description" if value.is_empty() => format!("{who} took the description away"),
            "description" => format!("{who} described the group: {value}"),
            "group_image_url_square" => format!("{who} changed the picture"),
            "message_disappear_in_ns" => match value.parse::<u64>() {
                Ok(ns @ 1..) => {
                    let span = when::span(ns.div_ceil(1_000_000_000));
                    format!("{who} let messages disappear after {span}")
                }
                _ => format!("{who} let messages stay"),
            },
            // The other half of the same setting, which comes with it or right after it.
            "message_disappear_from_ns" => continue,
            other => format!("{who} changed {}", clean(other, Lines::One)),
        });
    }
    match said.is_empty() {
        true if is_half(updated) => format!("{who} changed how long messages stay"),
        true => format!("{who} changed a setting"),
        false => said.join(", "),
    }
}

/// Whether this is the first of the two commits that let messages disappear, and nothing else: the
/// second one says it.
pub(crate) fn is_half(updated: &GroupUpdated) -> bool {
    let half = |change: &MetadataFieldChange| change.field_name == "message_disappear_from_ns";
    let changes = &updated.metadata_field_changes;
    let only = GroupUpdated {
        metadata_field_changes: changes.clone(),
        ..GroupUpdated::by(updated.initiated_by)
    };
    *updated == only && !changes.is_empty() && changes.iter().all(half)
}

/// Who is writing in a conversation just now, if somebody is.
pub(crate) fn typing(model: &Model, key: &ChatKey) -> Option<String> {
    let who: Vec<_> = model.typing(key).collect();
    match &who[..] {
        [] => None,
        [one] => Some(format!("{} is writing…", model.name(*one))),
        some @ [_, _] => Some(format!("{} are writing…", objects(model, some))),
        many => Some(format!("{} people are writing…", many.len())),
    }
}

/// Somebody who does something.
pub(crate) fn subject(model: &Model, inbox: InboxId) -> String {
    match inbox == model.me {
        true => "You".to_owned(),
        false => model.name(inbox),
    }
}

/// Somebody to whom something is done.
pub(crate) fn object(model: &Model, inbox: InboxId) -> String {
    match inbox == model.me {
        true => "you".to_owned(),
        false => model.name(inbox),
    }
}

fn objects(model: &Model, inboxes: &[InboxId]) -> String {
    let names: Vec<_> = inboxes.iter().take(MOST_NAMES).collect();
    let names: Vec<_> = names.into_iter().map(|one| object(model, *one)).collect();
    let others = inboxes.len() - names.len();
    match (&names[..], others) {
        ([], _) => "nobody".to_owned(),
        (names, 1..) => format!("{} and {others} others", names.join(", ")),
        ([one], 0) => one.clone(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
    }
}

/// Bytes of a text that are looked at for one line: far more than one shows.
const MOST_BYTES: usize = 2_000;
/// People that a sentence names.
const MOST_NAMES: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::tests::{model, person};

    fn group() -> ChatKind {
        ChatKind::Group {
            members: 3,
            others: Vec::new(),
        }
    }

    #[test]
    fn changes_of_a_group_are_sentences() {
        let model = model();
        let (me, bob, carol) = (person(0), person(1), person(2));
        let mut updated = GroupUpdated::by(bob);
        updated.added_inboxes = vec![me, carol];
        assert_eq!(
            update(&model, &group(), &updated),
            "bob added you and carol"
        );
        assert_eq!(
            update(&model, &ChatKind::Dm(bob), &updated),
            "bob started this conversation"
        );
        let field = |name: &str, value: &str| MetadataFieldChange {
            field_name: name.to_owned(),
            old_value: None,
            new_value: Some(value.to_owned()),
        };
        updated.added_inboxes.clear();
        updated.metadata_field_changes = vec![field("group_name", "Pic\u{1b}nic")];
        updated.added_admins = vec![carol];
        assert_eq!(
            update(&model, &group(), &updated),
            "bob made carol an admin, renamed the group to “Pic\\u{1b}nic”"
        );
        let mut updated = GroupUpdated::by(me);
        updated.metadata_field_changes = vec![
            field("message_disappear_from_ns", "1"),
            field("message_disappear_in_ns", "3600000000000"),
        ];
        assert_eq!(
            update(&model, &group(), &updated),
            "You let messages disappear after 1 hour"
        );
        assert!(!is_half(&updated));
        updated.metadata_field_changes.pop();
        assert!(is_half(&updated));
        assert_eq!(
            update(&model, &group(), &updated),
            "You changed how long messages stay"
        );
        let mut updated = GroupUpdated::by(me);
        updated.left_inboxes = vec![bob];
        assert_eq!(update(&model, &group(), &updated), "bob left");
        assert_eq!(
            update(&model, &group(), &GroupUpdated::by(bob)),
            "bob changed a setting"
        );
    }

    #[test]
    fn a_crowd_is_not_named_one_by_one() {
        let model = model();
        let mut updated = GroupUpdated::by(person(1));
        updated.removed_inboxes = (10..20).map(person).collect();
        assert!(update(&model, &group(), &updated).ends_with("and 5 others"));
    }
}
