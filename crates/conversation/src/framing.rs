//! Group messages as they travel: what can be read without the group's keys.
//!
//! [`GroupMessageHeader::parse`] reads the framing of a whole message and returns the part
//! that a node needs to file it. Encrypted parts are not opened, signatures not checked.
//!
//! Specification: RFC 9420 §6 (framing), §6.2 (public messages), §6.3 (private messages).

use crate::{
    layout::{LayoutError, Reader},
    structs,
};

/// What a group message says about itself in the clear.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupMessageHeader {
    /// The MLS group id, at least one byte. XMTP's groups have 16.
    pub group_id: Vec<u8>,
    /// The epoch in which the message was made.
    pub epoch: u64,
    /// What the message is for.
    pub content: ContentType,
}

impl GroupMessageHeader {
    /// Reads an `MLSMessage` that holds a private or a public message, to the last byte.
    ///
    /// # Errors
    ///
    /// [`FramingError`] when the version is not MLS 1.0, the message is of another kind (a
    /// welcome, say), or the bytes do not have the layout, with nothing missing and nothing
    /// left over.
    ///
    /// ```
    /// use folkmoot_conversation::{ContentType, GroupMessageHeader};
    ///
    /// let message = [0, 1, 0, 2, 1, 0xaa, 0, 0, 0, 0, 0, 0, 0, 7, 3, 0, 0, 0];
    /// let header = GroupMessageHeader::parse(&message)?;
    /// assert_eq!(header.group_id, [0xaa]);
    /// assert_eq!(header.epoch, 7);
    /// assert_eq!(header.content, ContentType::Commit);
    /// # Ok::<(), folkmoot_conversation::FramingError>(())
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Self, FramingError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u16("version")?;
        if version != MLS_1_0 {
            return Err(FramingError::Version(version));
        }
        let wire_format = reader.u16("wire_format")?;
        let header = match wire_format {
            1 => public_message(&mut reader)?,
            2 => private_message(&mut reader)?,
            other => return Err(FramingError::WireFormat(other)),
        };
        reader.finish()?;
        Ok(header)
    }
}

/// What a group message is for (RFC 9420 §6).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ContentType {
    /// Something that a person or an app says.
    Application,
    /// A change to the group that somebody suggests.
    Proposal,
    /// A change to the group, which begins its next epoch.
    Commit,
}

impl ContentType {
    /// Whether the message has a part in changing the group. Nodes keep such messages for
    /// good, and d14n numbers them apart from the others.
    #[must_use]
    pub const fn is_commit_or_proposal(self) -> bool {
        !matches!(self, Self::Application)
    }
}

/// Why bytes are not a group message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FramingError {
    /// The version is not MLS 1.0.
    #[error("version at byte 0 is {0}; MLS 1.0 has version 1")]
    Version(u16),
    /// The message is none that groups exchange: a welcome, a group info or a key package.
    #[error(
        "wire_format at byte 2 is {0}{name}; groups exchange public (1) and private (2) messages",
        name = wire_format_name(*.0)
    )]
    WireFormat(u16),
    /// The group id has no bytes.
    #[error("group_id at byte 4 is empty")]
    EmptyGroupId,
    /// An application message that is not encrypted, which §6.2 forbids.
    #[error("content_type at byte {offset} is application, which a public message may not be")]
    PublicApplication {
        /// Where the content type stands.
        offset: usize,
    },
    /// The bytes do not have the layout of a group message.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

fn private_message(reader: &mut Reader<'_>) -> Result<GroupMessageHeader, FramingError> {
    let (group_id, epoch) = group_and_epoch(reader)?;
    let content = content_type(reader)?;
    reader.opaque("authenticated_data")?;
    reader.opaque("encrypted_sender_data")?;
    reader.opaque("ciphertext")?;
    Ok(GroupMessageHeader {
        group_id,
        epoch,
        content,
    })
}

fn public_message(reader: &mut Reader<'_>) -> Result<GroupMessageHeader, FramingError> {
    let (group_id, epoch) = group_and_epoch(reader)?;
    let by_member = sender_is_member(reader)?;
    reader.opaque("authenticated_data")?;
    let offset = reader.offset();
    let content = content_type(reader)?;
    match content {
        ContentType::Application => return Err(FramingError::PublicApplication { offset }),
        ContentType::Proposal => structs::proposal(reader)?,
        ContentType::Commit => structs::commit(reader)?,
    }
    reader.opaque("signature")?;
    if content == ContentType::Commit {
        reader.opaque("confirmation_tag")?;
    }
    if by_member {
        reader.opaque("membership_tag")?;
    }
    Ok(GroupMessageHeader {
        group_id,
        epoch,
        content,
    })
}

fn group_and_epoch(reader: &mut Reader<'_>) -> Result<(Vec<u8>, u64), FramingError> {
    let group_id = reader.opaque("group_id")?;
    if group_id.is_empty() {
        return Err(FramingError::EmptyGroupId);
    }
    Ok((group_id.to_vec(), reader.u64("epoch")?))
}

fn content_type(reader: &mut Reader<'_>) -> Result<ContentType, LayoutError> {
    let offset = reader.offset();
    match reader.u8("content_type")? {
        1 => Ok(ContentType::Application),
        2 => Ok(ContentType::Proposal),
        3 => Ok(ContentType::Commit),
        value => Err(LayoutError::UnknownValue {
            field: "content_type",
            offset,
            value: value.into(),
        }),
    }
}

fn sender_is_member(reader: &mut Reader<'_>) -> Result<bool, LayoutError> {
    let offset = reader.offset();
    match reader.u8("sender.sender_type")? {
        1 => reader.u32("sender.leaf_index").map(|_| true),
        2 => reader.u32("sender.sender_index").map(|_| false),
        // A new member's proposal or commit: nothing follows the type.
        3 | 4 => Ok(false),
        value => Err(LayoutError::UnknownValue {
            field: "sender.sender_type",
            offset,
            value: value.into(),
        }),
    }
}

const fn wire_format_name(wire_format: u16) -> &'static str {
    match wire_format {
        3 => " (a welcome)",
        4 => " (a group info)",
        5 => " (a key package)",
        _ => "",
    }
}

/// The number of MLS 1.0.
pub(crate) const MLS_1_0: u16 = 1;

#[cfg(test)]
mod tests;
