/// Why the extensions of a group context are not what XMTP puts there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ContextError {
    /// The group context lacks an extension.
    #[error("the group context has no {0}")]
    Missing(Extension),
    /// The bytes of an extension are no message of its kind.
    #[error("{extension} cannot be read: {reason}")]
    Malformed {
        /// Which extension.
        extension: Extension,
        /// What is wrong with the bytes.
        reason: String,
    },
    /// A field that must be there is not.
    #[error("{extension} lacks {field}")]
    MissingField {
        /// Which extension.
        extension: Extension,
        /// The field's name in the protobuf definitions.
        field: &'static str,
    },
    /// A field has a value that means nothing.
    #[error("{extension} has no valid {field}")]
    InvalidField {
        /// Which extension.
        extension: Extension,
        /// The field's name in the protobuf definitions.
        field: &'static str,
    },
}

/// One of XMTP's extensions of a group context.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Extension {
    /// 0xf000: what the conversation is.
    Metadata,
    /// 0xff00: attributes and admins.
    MutableMetadata,
    /// 0xff01: the member inboxes.
    Membership,
    /// 0xff02: who may do what.
    Permissions,
    /// 0x0006: the dictionary that takes the place of the four others from 1.11 on.
    AppData,
}

impl Extension {
    /// The extension's type, as MLS numbers it.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Metadata => 0xf000,
            Self::MutableMetadata => 0xff00,
            Self::Membership => 0xff01,
            Self::Permissions => 0xff02,
            Self::AppData => 0x0006,
        }
    }

    pub(crate) fn malformed(self, reason: impl ToString) -> ContextError {
        ContextError::Malformed {
            extension: self,
            reason: reason.to_string(),
        }
    }

    pub(crate) const fn missing_field(self, field: &'static str) -> ContextError {
        ContextError::MissingField {
            extension: self,
            field,
        }
    }

    pub(crate) const fn invalid_field(self, field: &'static str) -> ContextError {
        ContextError::InvalidField {
            extension: self,
            field,
        }
    }
}

impl std::fmt::Display for Extension {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Metadata => "immutable metadata (0xf000)",
            Self::MutableMetadata => "mutable metadata (0xff00)",
            Self::Membership => "group membership (0xff01)",
            Self::Permissions => "permissions (0xff02)",
            Self::AppData => "app data dictionary (0x0006)",
        })
    }
}
