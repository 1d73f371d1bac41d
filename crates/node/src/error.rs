//! Why the node refuses a call, and the gRPC status that says so.

use folkmoot_conversation::{FramingError, KeyPackageError};
use folkmoot_identity::{AssociationError, DecodeError};
use folkmoot_store::StoreError;
use folkmoot_wire::InvalidTopic;
use tonic::{Code, Status};

use crate::hub::End;

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A field is missing or has an impossible value.
    #[error("{field}: {problem}")]
    Field {
        /// The field's path in the request.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A field holds a message that does not decode.
    #[error("{field}: not a protobuf message of its type: {cause}")]
    Protobuf {
        /// The field's path in the request.
        field: String,
        /// What the decoder said.
        cause: prost::DecodeError,
    },
    /// A group message is not an MLS message that groups exchange.
    #[error("{field}: not an MLS group message: {cause}")]
    Framing {
        /// The field's path in the request.
        field: String,
        /// What is wrong with it.
        cause: FramingError,
    },
    /// A key package does not hold.
    #[error("{field}: not a valid key package: {cause}")]
    KeyPackage {
        /// The field's path in the request.
        field: String,
        /// What is wrong with it.
        cause: KeyPackageError,
    },
    /// Bytes are not a topic.
    #[error("{field}: {cause}")]
    Topic {
        /// The field's path in the request.
        field: String,
        /// What is wrong with it.
        cause: InvalidTopic,
    },
    /// An identity update does not decode.
    #[error("{field}: {cause}")]
    Update {
        /// The field's path in the request.
        field: String,
        /// What is wrong with it.
        cause: DecodeError,
    },
    /// An identity update breaks the rules of associations.
    #[error("{field}: identity update refused: {cause}")]
    Association {
        /// The field's path in the request.
        field: String,
        /// Which rule; of a signature also where it stands in the update.
        cause: AssociationError,
    },
    /// The inbox's log has as many entries as the network allows.
    #[error("inbox log is full: it has {entries} updates and the network allows {most}")]
    InboxLogFull {
        /// How many it has.
        entries: usize,
        /// How many it may have.
        most: usize,
    },
    /// The stream fell too far behind.
    #[error(
        "the reader is too slow: more messages wait than the node keeps for one stream; subscribe again from your cursor"
    )]
    TooSlow,
    /// The stream's other side did not answer a ping.
    #[error("no pong came within {0} ms of a ping")]
    NoPong(u128),
    /// The history of a stream could not be read.
    #[error("the history could not be read; subscribe again from your cursor")]
    CatchUp,
    /// A cap of the service.
    #[error("{0}")]
    TooMuch(String),
    /// The client's address is on the deny list.
    #[error("this address may not use the node")]
    Denied,
    /// The node goes away.
    #[error("the node is shutting down; connect again in a moment")]
    Closing,
    /// Nothing by that name.
    #[error("{0}")]
    NotFound(String),
    /// The node does not offer the call.
    #[error("{0}")]
    Unsupported(String),
    /// A stored envelope does not read as what its topic says.
    #[error("envelope {0} is damaged in the store")]
    Stored(u64),
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NodeError {
    /// A complaint about a field.
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// The same complaint with the field's path put below `parent`.
    pub(crate) fn within(self, parent: &str) -> Self {
        let join = |field: String| match (parent.is_empty(), field.is_empty()) {
            (true, _) => field,
            (false, true) => parent.to_owned(),
            (false, false) => format!("{parent}.{field}"),
        };
        match self {
            Self::Field { field, problem } => Self::Field {
                field: join(field),
                problem,
            },
            Self::Protobuf { field, cause } => Self::Protobuf {
                field: join(field),
                cause,
            },
            Self::Framing { field, cause } => Self::Framing {
                field: join(field),
                cause,
            },
            Self::KeyPackage { field, cause } => Self::KeyPackage {
                field: join(field),
                cause,
            },
            Self::Topic { field, cause } => Self::Topic {
                field: join(field),
                cause,
            },
            Self::Update { field, cause } => Self::Update {
                field: join(field),
                cause,
            },
            Self::Association { field, cause } => Self::Association {
                field: join(field),
                cause,
            },
            other => other,
        }
    }
}

impl From<End> for NodeError {
    fn from(end: End) -> Self {
        match end {
            End::Lagged => Self::TooSlow,
            End::Closed => Self::Closing,
        }
    }
}

/// The gRPC status that clients see: the one such table.
impl From<NodeError> for Status {
    fn from(error: NodeError) -> Self {
        let code = match &error {
            NodeError::Field { .. }
            | NodeError::Protobuf { .. }
            | NodeError::Framing { .. }
            | NodeError::KeyPackage { .. }
            | NodeError::Topic { .. }
            | NodeError::Update { .. } => Code::InvalidArgument,
            NodeError::Association { cause, .. } if cause.is_retryable() => Code::Unavailable,
            NodeError::Association { .. } => Code::InvalidArgument,
            NodeError::InboxLogFull { .. } => Code::FailedPrecondition,
            NodeError::TooSlow => Code::Aborted,
            NodeError::NoPong(_) => Code::DeadlineExceeded,
            NodeError::TooMuch(_) => Code::ResourceExhausted,
            NodeError::Denied => Code::PermissionDenied,
            NodeError::CatchUp | NodeError::Closing => Code::Unavailable,
            NodeError::NotFound(_) => Code::NotFound,
            NodeError::Unsupported(_) => Code::Unimplemented,
            NodeError::Stored(id) => {
                tracing::error!(id, "a stored envelope is damaged");
                Code::Internal
            }
            NodeError::Store(StoreError::Closed) => Code::Unavailable,
            NodeError::Store(cause) => {
                tracing::error!(%cause, "storage failed");
                Code::Internal
            }
        };
        let mut status = Self::new(code, error.to_string());
        if let NodeError::Association { cause, .. } = &error
            && let Ok(label) = cause.code().parse()
        {
            status.metadata_mut().insert("error-code", label);
        }
        status
    }
}
