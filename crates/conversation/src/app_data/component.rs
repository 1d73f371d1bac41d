use std::fmt;

use crate::context::Attribute;

/// The number of a component of the dictionary.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Component(pub u16);

/// How a component's value is built, and how a change of it is written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ComponentKind {
    /// Any bytes; a change is the new value.
    Bytes,
    /// UTF-8; a change is the new value.
    String,
    /// Bytes to bytes, in the order of the keys; a change is a list of mutations.
    MapOfBytes,
    /// Inbox id to bytes; likewise.
    MapOfInboxes,
    /// Bytes, in order, each once; likewise.
    SetOfBytes,
    /// Inbox ids; likewise.
    SetOfInboxes,
}

impl Component {
    /// Who may change which component.
    pub const REGISTRY: Self = Self(0x8000);
    /// The super admins.
    pub const SUPER_ADMINS: Self = Self(0x8001);
    /// The admins.
    pub const ADMINS: Self = Self(0x8002);
    /// The member inboxes.
    pub const MEMBERSHIP: Self = Self(0x8003);
    /// The group's name.
    pub const GROUP_NAME: Self = Self(0x8004);
    /// What the group is about.
    pub const DESCRIPTION: Self = Self(0x8005);
    /// Where the group's picture is.
    pub const IMAGE_URL: Self = Self(0x8006);
    /// Since when messages disappear: 8 bytes, big-endian.
    pub const DISAPPEAR_FROM_NS: Self = Self(0x8007);
    /// After how long messages disappear: 8 bytes, big-endian.
    pub const DISAPPEAR_IN_NS: Self = Self(0x8008);
    /// What an app keeps with the group.
    pub const APP_DATA: Self = Self(0x8009);
    /// The version that the group asks for. It only rises.
    pub const MINIMUM_VERSION: Self = Self(0x800a);
    /// The secret key of the commit log: 32 bytes.
    pub const COMMIT_LOG_SIGNER: Self = Self(0x800b);
    /// What a one-shot group says. Immutable.
    pub const ONESHOT_MESSAGE: Self = Self(0xbffc);
    /// The two people of a DM. Immutable.
    pub const DM_MEMBERS: Self = Self(0xbffd);
    /// Who made the group. Immutable.
    pub const CREATOR: Self = Self(0xbffe);
    /// The kind of conversation: 4 bytes, big-endian. Immutable.
    pub const CONVERSATION_KIND: Self = Self(0xbfff);

    /// The component that holds an attribute.
    #[must_use]
    pub const fn of(attribute: Attribute) -> Self {
        match attribute {
            Attribute::GroupName => Self::GROUP_NAME,
            Attribute::Description => Self::DESCRIPTION,
            Attribute::ImageUrl => Self::IMAGE_URL,
            Attribute::AppData => Self::APP_DATA,
            Attribute::DisappearFromNs => Self::DISAPPEAR_FROM_NS,
            Attribute::DisappearInNs => Self::DISAPPEAR_IN_NS,
            Attribute::MinimumVersion => Self::MINIMUM_VERSION,
            Attribute::CommitLogSigner => Self::COMMIT_LOG_SIGNER,
        }
    }

    /// Whether numbers of this size are components at all.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 >= 0x8000
    }

    /// Whether nobody may use the number yet.
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        self.0 >= 0xff00
    }

    /// Whether the component keeps its first value.
    #[must_use]
    pub const fn is_immutable(self) -> bool {
        matches!(self.0, 0xbe00..=0xbfff | 0xfd00..=0xfeff)
    }

    /// Whether only super admins may change the component, whatever the registry says.
    #[must_use]
    pub const fn is_super_admins_own(self) -> bool {
        matches!(self, Self::REGISTRY | Self::SUPER_ADMINS)
    }

    /// The kind of a component with a fixed meaning.
    pub(crate) const fn known_kind(self) -> Option<ComponentKind> {
        Some(match self {
            Self::REGISTRY => ComponentKind::MapOfBytes,
            Self::SUPER_ADMINS | Self::ADMINS | Self::DM_MEMBERS => ComponentKind::SetOfInboxes,
            Self::MEMBERSHIP => ComponentKind::MapOfInboxes,
            Self::GROUP_NAME
            | Self::DESCRIPTION
            | Self::IMAGE_URL
            | Self::APP_DATA
            | Self::MINIMUM_VERSION => ComponentKind::String,
            Self::DISAPPEAR_FROM_NS
            | Self::DISAPPEAR_IN_NS
            | Self::COMMIT_LOG_SIGNER
            | Self::CONVERSATION_KIND
            | Self::CREATOR
            | Self::ONESHOT_MESSAGE => ComponentKind::Bytes,
            _ => return None,
        })
    }

    /// How many bytes the value has, if that is fixed.
    pub(crate) const fn length(self) -> Option<usize> {
        match self {
            Self::DISAPPEAR_FROM_NS | Self::DISAPPEAR_IN_NS => Some(8),
            Self::COMMIT_LOG_SIGNER => Some(32),
            _ => None,
        }
    }
}

impl ComponentKind {
    /// The number in the registry.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Bytes => 1,
            Self::String => 2,
            Self::MapOfBytes => 3,
            Self::MapOfInboxes => 4,
            Self::SetOfBytes => 5,
            Self::SetOfInboxes => 6,
        }
    }

    pub(crate) const fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Bytes,
            2 => Self::String,
            3 => Self::MapOfBytes,
            4 => Self::MapOfInboxes,
            5 => Self::SetOfBytes,
            6 => Self::SetOfInboxes,
            _ => return None,
        })
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Component({self})")
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "0x{:04x}", self.0)
    }
}
