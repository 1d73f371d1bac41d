//! Groups: who may do what, and what is asked before it is done.

use folkmoot_conversation::{
    context::{AdminChange, Attribute},
    permissions::Preset,
};

use super::*;

/// The page of a group in which we are this.
fn page(role: MemberRole) -> Model {
    let mut model = with_chats();
    model.cursor = Some(key(2));
    write(&mut model, "i");
    update(&mut model, details(2, role));
    model
}

/// Presses a key of the page, and yes.
fn confirmed(model: &mut Model, letter: &str) -> Vec<Effect> {
    let effects = write(model, letter);
    assert!(effects.is_empty(), "it asks first: {effects:?}");
    write(model, "y")
}

#[test]
fn roles_are_given_and_taken_step_by_step() {
    let mut model = page(MemberRole::SuperAdmin);
    let role = |change, number| Effect::Role(group(2), change, person(number));
    press(&mut model, KeyCode::Down);
    let effects = confirmed(&mut model, "p");
    assert_eq!(effects, [role(AdminChange::AddSuperAdmin, 1)]);
    let effects = confirmed(&mut model, "d");
    assert_eq!(effects, [role(AdminChange::RemoveAdmin, 1)]);
    press(&mut model, KeyCode::Down);
    let effects = confirmed(&mut model, "p");
    assert_eq!(effects, [role(AdminChange::AddAdmin, 2)]);
    let effects = confirmed(&mut model, "x");
    assert_eq!(effects, [Effect::Remove(group(2), person(2))]);
    press(&mut model, KeyCode::Up);
    press(&mut model, KeyCode::Up);
    let effects = confirmed(&mut model, "d");
    assert_eq!(effects, [role(AdminChange::RemoveSuperAdmin, 0)]);
}

#[test]
fn what_the_rules_forbid_is_neither_offered_nor_done() {
    let mut model = page(MemberRole::Member);
    press(&mut model, KeyCode::Down);
    for letter in ["x", "p", "d", "t"] {
        write(&mut model, letter);
        assert!(
            matches!(model.dialog, Some(Dialog::Details(_))),
            "{letter} asks nothing"
        );
    }
    write(&mut model, "m");
    assert!(press(&mut model, KeyCode::Right).is_empty());
    write(&mut model, "2");
    assert!(matches!(model.dialog, Some(Dialog::Details(_))));
}

#[test]
fn all_rules_change_at_once_by_the_name_of_a_preset() {
    let mut model = page(MemberRole::SuperAdmin);
    write(&mut model, "m");
    let effects = confirmed(&mut model, "2");
    assert_eq!(effects, [Effect::Preset(group(2), Preset::AdminsOnly)]);
    let effects = confirmed(&mut model, "1");
    assert_eq!(effects, [Effect::Preset(group(2), Preset::AllMembers)]);
}

#[test]
fn picture_description_and_time_to_stay_are_set_from_the_page() {
    let mut model = page(MemberRole::SuperAdmin);
    write(&mut model, "i");
    write(&mut model, "lake.png");
    assert!(press(&mut model, KeyCode::Enter).is_empty(), "no address");
    press_with(&mut model, CONTROL, KeyCode::Char('u'));
    write(&mut model, "https://example.org/lake.png");
    let set = |attribute, text: &str| Effect::Set(group(2), attribute, text.to_owned());
    assert_eq!(
        press(&mut model, KeyCode::Enter),
        [set(Attribute::ImageUrl, "https://example.org/lake.png")]
    );
    write(&mut model, "e");
    press_with(&mut model, CONTROL, KeyCode::Char('u'));
    assert_eq!(
        press(&mut model, KeyCode::Enter),
        [set(Attribute::Description, "")]
    );
    write(&mut model, "t");
    write(&mut model, "7d");
    assert_eq!(
        press(&mut model, KeyCode::Enter),
        [Effect::Vanish(group(2), Some(7 * 86_400))]
    );
}

#[test]
fn leaving_and_blocking_are_asked_for_and_a_member_can_be_written_to() {
    let mut model = page(MemberRole::Member);
    assert_eq!(confirmed(&mut model, "l"), [Effect::Leave(group(2))]);
    let blocked = [Effect::Consent(group(2), ConsentState::Denied)];
    assert_eq!(confirmed(&mut model, "b"), blocked);
    // Bob, the admin, stands first.
    write(&mut model, "c");
    write(&mut model, "Bobby");
    let named = Effect::Name {
        inbox: person(1),
        whom: format!("0x{}", "0a".repeat(20)),
        name: "Bobby".to_owned(),
    };
    assert_eq!(press(&mut model, KeyCode::Enter), [named]);
    let effects = write(&mut model, "w");
    assert_eq!(effects, [Effect::NewDm(person(1).to_string())]);
}

#[test]
fn a_conversation_is_blocked_and_wanted_again_from_its_inside() {
    let mut model = with_open();
    press(&mut model, KeyCode::Up);
    let effects = confirmed(&mut model, "b");
    assert_eq!(effects, [Effect::Consent(group(1), ConsentState::Denied)]);
    let mut blocked = model.chats[0].clone();
    blocked.consent = ConsentState::Denied;
    update(&mut model, Event::Chat(Box::new(blocked)));
    assert_eq!(model.shut(), Some(crate::chat::model::Shut::Blocked));
    // Nothing can be said there, in any way.
    write(&mut model, "r");
    assert!(press_with(&mut model, CONTROL, KeyCode::Char('o')).is_empty());
    update(&mut model, Event::Terminal(Terminal::Paste("x".to_owned())));
    assert!(model.open.as_ref().unwrap().draft.editor.is_empty());
    assert_eq!(model.dialog, None);
    let effects = write(&mut model, "a");
    assert_eq!(effects[0], Effect::Consent(group(1), ConsentState::Allowed));
    assert_eq!(model.focus, Focus::Compose);
}

#[test]
fn what_is_not_ours_is_deleted_by_super_admins_only() {
    let mut model = with_open();
    press(&mut model, KeyCode::Up);
    write(&mut model, "d");
    assert_eq!(model.dialog, None, "the message is bob's");
    model.chats[0].role = MemberRole::SuperAdmin;
    write(&mut model, "d");
    assert!(model.dialog.is_some());
}
