//! A group or DM, looked at.

use folkmoot_client::MemberRole;
use folkmoot_conversation::{
    context::Attribute,
    permissions::{PolicyKind, Preset, Who},
};
use ratatui::style::Style;

use super::{
    super::{
        super::{
            dialog::Pane,
            event::Person,
            layout::{Piece, Role},
            model::Model,
            text::{self, fill, shorten, wrap},
            when,
        },
        Canvas, cells,
    },
    frame, hints,
};

/// Draws what is known about a group or DM.
pub(super) fn draw(model: &Model, pane: &Pane, canvas: &mut Canvas<'_, '_>) {
    let Some(chat) = model.chats.iter().find(|chat| chat.id == pane.id) else {
        return;
    };
    let Some(details) = &pane.details else {
        let area = frame(canvas, &model.title(chat), 76, 3);
        hints(canvas, area, 1, "…");
        return;
    };
    let columns = usize::from(canvas.frame.area().width).clamp(8, 76) - 4;
    let mut head = Vec::new();
    if !details.description.is_empty() {
        let lines = wrap(
            &text::clean(&details.description, text::Lines::Many),
            columns,
        );
        head.extend(
            lines
                .into_iter()
                .take(4)
                .map(|line| Piece::new(line, Role::Plain)),
        );
    }
    if !details.picture.is_empty() {
        let words = format!(
            "picture {}",
            text::clean(&details.picture, text::Lines::One)
        );
        head.push(Piece::new(shorten(&words, columns), Role::Dim));
    }
    let vanish = match chat.vanish {
        Some(seconds) => format!("messages disappear after {}", when::span(seconds)),
        None => "messages stay".to_owned(),
    };
    head.push(Piece::new(format!("id {}", details.id), Role::Dim));
    head.push(Piece::new(vanish, Role::Dim));
    if pane.rules {
        let words = match details.preset {
            Some(Preset::AllMembers) => "open to everybody",
            Some(Preset::AdminsOnly) => "admins only",
            Some(Preset::Dm) | None => "rules of its own",
        };
        head.push(Piece::new(words, Role::Strong));
    }
    let rows: Vec<(String, String)> = match pane.rules {
        true => details
            .rules
            .iter()
            .map(|(kind, who)| rule(*kind, *who))
            .collect(),
        false => {
            let people = details.people.iter();
            let row = |person: &Person| {
                let name = model.name(person.inbox);
                let name = match person.address.is_empty() {
                    true => name,
                    false => format!("{name}  {}", person.address),
                };
                let role = match person.role {
                    MemberRole::Member => "",
                    MemberRole::Admin => "admin",
                    MemberRole::SuperAdmin => "super admin",
                };
                (name, role.to_owned())
            };
            people.map(row).collect()
        }
    };
    let offers = pane.offers(model, chat).into_iter();
    let mut keys: Vec<_> = offers.map(|(key, does)| format!("{key} {does}")).collect();
    if keys.iter().any(|key| key.starts_with('1')) {
        keys.insert(0, "Left Right change".to_owned());
    }
    keys.push("Esc close".to_owned());
    // A line is broken between two keys, not inside of what one does.
    let keys = keys.into_iter();
    let keys: Vec<_> = keys.map(|key| key.replace(' ', "\u{a0}")).collect();
    let keys = wrap(&keys.join("  "), columns);
    let fixed = head.len() + keys.len() + 2;
    let area = frame(canvas, &model.title(chat), 76, cells(fixed + rows.len()));
    let mut row = 0;
    for piece in &head {
        canvas.pieces(area, row, std::slice::from_ref(piece));
        row += 1;
    }
    row += 1;
    let room = usize::from(area.height).saturating_sub(fixed).max(1);
    let first = (pane.chosen + 1).saturating_sub(room);
    for (at, (left, right)) in rows.iter().enumerate().skip(first).take(room) {
        let width = columns.saturating_sub(text::width(right) + 1);
        canvas.write(area, row, &fill(left, width), Style::new());
        let dim = canvas.theme.dim();
        canvas.write_right(area, row, right, dim);
        if at == pane.chosen {
            canvas.style(area, row, canvas.theme.chosen());
        }
        row += 1;
    }
    let bottom = usize::from(area.height).saturating_sub(keys.len());
    for (at, line) in keys.iter().enumerate() {
        let line = line.replace('\u{a0}', " ");
        hints(canvas, area, cells(bottom + at), line.trim_end());
    }
}

/// A rule in words: what, and who may.
fn rule(kind: PolicyKind, who: Option<Who>) -> (String, String) {
    let what = match kind {
        PolicyKind::AddMember => "add members",
        PolicyKind::RemoveMember => "remove members",
        PolicyKind::AddAdmin => "make admins",
        PolicyKind::RemoveAdmin => "take the role of admin away",
        PolicyKind::UpdateMetadata(attribute) => match attribute {
            Attribute::GroupName => "change the name",
            Attribute::Description => "change the description",
            Attribute::ImageUrl => "change the picture",
            Attribute::AppData => "change what apps keep here",
            Attribute::DisappearFromNs | Attribute::DisappearInNs => "let messages disappear",
            _ => "change other settings",
        },
    };
    let who = match who {
        Some(Who::Everyone) => "everybody",
        Some(Who::Admins) => "admins",
        Some(Who::SuperAdmins) => "super admins",
        Some(Who::Nobody) => "nobody",
        None => "several conditions",
    };
    (what.to_owned(), who.to_owned())
}
