//! People: accounts and inboxes.

use folkmoot_client::identity::InboxState;
use folkmoot_identity::Identifier;

use super::super::value::{Value, object};

/// An account.
pub(crate) fn identifier(identifier: &Identifier) -> Value {
    let kind: u32 = match identifier {
        Identifier::Ethereum(_) => 0,
        Identifier::Passkey(_) => 1,
    };
    object! { "identifier" => identifier.to_string(), "identifierKind" => kind }
}

/// Who belongs to an inbox.
pub(crate) fn inbox_state(state: &InboxState) -> Value {
    let installations = state.installations().into_iter().map(|key| {
        let since = state
            .installation(key)
            .and_then(|one| one.client_timestamp_ns);
        object! { "id" => key.to_string(), "clientTimestampNs" => since.map(Value::wide) }
    });
    object! {
        "inboxId" => state.inbox_id.to_string(),
        "recoveryIdentifier" => identifier(state.recovery_identifier()),
        "installations" => Value::list(installations),
        "identifiers" => Value::list(state.identifiers().iter().map(identifier)),
    }
}
