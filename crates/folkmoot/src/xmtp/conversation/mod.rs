//! `folkmoot xmtp conversation ID`: one conversation.

mod actions;
mod disappearing;
mod files;
mod filter;
mod inspect;
mod manage;
mod read;
mod send;

use super::run::{As, commands};

pub(crate) use files::mime_type;

commands! {
    /// The commands about one conversation.
    pub(crate) enum ConversationCommand {
        /// List messages
        Messages(As<read::Messages>),
        /// Count messages
        CountMessages(As<read::CountMessages>),
        /// List members
        Members(As<read::Members>),
        /// Print messages as they come
        Stream(As<read::Stream>),
        /// Fetch messages
        Sync(As<read::Sync>),
        /// Show when each member last read
        LastReadTimes(As<read::LastReadTimes>),
        /// Show who may do what
        Permissions(As<inspect::Permissions>),
        /// Show what we think of the conversation
        ConsentState(As<inspect::ConsentState>),
        /// List admins
        ListAdmins(As<inspect::ListAdmins>),
        /// List super admins
        ListSuperAdmins(As<inspect::ListSuperAdmins>),
        /// Show the state of the protocol
        DebugInfo(As<inspect::DebugInfo>),
        /// Send a text
        SendText(As<send::SendText>),
        /// Send a text with mark-up
        SendMarkdown(As<send::SendMarkdown>),
        /// Answer a message
        SendReply(As<send::SendReply>),
        /// Put an emoji to a message, or take it away
        SendReaction(As<send::SendReaction>),
        /// Say that everything up to now was read
        SendReadReceipt(As<send::SendReadReceipt>),
        /// Send a file
        SendAttachment(As<files::SendAttachment>),
        /// Send where an encrypted file lies
        SendRemoteAttachment(As<files::SendRemoteAttachment>),
        /// Send where several encrypted files lie
        SendMultiRemoteAttachment(As<files::SendMultiRemoteAttachment>),
        /// Save the file of a message
        DownloadAttachment(As<files::DownloadAttachment>),
        /// Offer choices to pick one from
        SendActions(As<actions::SendActions>),
        /// Pick one of the choices that were offered
        SendIntent(As<actions::SendIntent>),
        /// Send content of any type, from a JSON file
        SendContent(As<actions::SendContent>),
        /// Rewrite a message of our own (a draft of the protocol)
        EditMessage(As<send::EditMessage>),
        /// Take a message back, for everybody
        DeleteMessage(As<send::DeleteMessage>),
        /// Send what was stored with --optimistic
        PublishMessages(As<send::PublishMessages>),
        /// Add members
        AddMembers(As<manage::AddMembers>),
        /// Remove members
        RemoveMembers(As<manage::RemoveMembers>),
        /// Make a member admin
        AddAdmin(As<manage::AddAdmin>),
        /// Make an admin a plain member
        RemoveAdmin(As<manage::RemoveAdmin>),
        /// Make a member super admin
        AddSuperAdmin(As<manage::AddSuperAdmin>),
        /// Make a super admin a plain member
        RemoveSuperAdmin(As<manage::RemoveSuperAdmin>),
        /// Set the name
        UpdateName(As<manage::UpdateName>),
        /// Set what it is about
        UpdateDescription(As<manage::UpdateDescription>),
        /// Set where its picture is
        UpdateImageUrl(As<manage::UpdateImageUrl>),
        /// Show or set what apps keep with it
        AppData(As<manage::AppData>),
        /// Set who may do something
        UpdatePermission(As<manage::UpdatePermission>),
        /// Say what we think of the conversation
        UpdateConsent(As<manage::UpdateConsent>),
        /// Show, set or end how long messages stay
        Disappearing(As<disappearing::Disappearing>),
        /// Ask to be removed: an admin's app then does it
        RequestRemoval(As<manage::RequestRemoval>),
        /// Leave: the same as request-removal
        Leave(As<manage::RequestRemoval>),
        /// Add installations again that have lost the group
        ReaddInstallations(As<manage::ReaddInstallations>),
    }
}
