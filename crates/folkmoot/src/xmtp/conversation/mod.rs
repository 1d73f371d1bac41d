//! `folkmoot xmtp conversation ID`: one conversation.

mod actions;
mod disappearing;
pub(crate) mod files;
mod filter;
mod inspect;
mod manage;
mod payments;
mod read;
pub(super) mod send;

use super::{
    follow::Following,
    run::{As, commands},
};

pub(crate) use files::{Opening, mime_type};

commands! {
    /// The commands about one conversation.
    pub(crate) enum ConversationCommand {
        /// List messages
        #[command(after_help = "Example: folkmoot xmtp conversation messages picnic --sync --limit 10")]
        Messages(As<read::Messages>),
        /// Count messages
        #[command(after_help = "Example: folkmoot xmtp conversation count-messages picnic --content-type text")]
        CountMessages(As<read::CountMessages>),
        /// List members
        #[command(after_help = "Example: folkmoot xmtp conversation members picnic --sync")]
        Members(As<read::Members>),
        /// Print messages as they come
        #[command(after_help = "Example: folkmoot xmtp conversation stream picnic --json --count 5")]
        Stream(Following<read::Stream>),
        /// Fetch messages
        #[command(after_help = "Example: folkmoot xmtp conversation sync picnic")]
        Sync(As<read::Sync>),
        /// Show when each member last read
        #[command(after_help = "Example: folkmoot xmtp conversation last-read-times picnic")]
        LastReadTimes(As<read::LastReadTimes>),
        /// Show who may do what
        #[command(after_help = "Example: folkmoot xmtp conversation permissions picnic")]
        Permissions(As<inspect::Permissions>),
        /// Show what we think of the conversation
        #[command(after_help = "Example: folkmoot xmtp conversation consent-state picnic")]
        ConsentState(As<inspect::ConsentState>),
        /// List admins
        #[command(after_help = "Example: folkmoot xmtp conversation list-admins picnic")]
        ListAdmins(As<inspect::ListAdmins>),
        /// List super admins
        #[command(after_help = "Example: folkmoot xmtp conversation list-super-admins picnic")]
        ListSuperAdmins(As<inspect::ListSuperAdmins>),
        /// Show the state of the protocol
        #[command(after_help = "Example: folkmoot xmtp conversation debug-info picnic --json")]
        DebugInfo(As<inspect::DebugInfo>),
        /// Send a text
        #[command(after_help = "Example: folkmoot xmtp conversation send-text picnic 'See you at noon'")]
        SendText(As<send::SendText>),
        /// Send a text with mark-up
        #[command(after_help = "Example: folkmoot xmtp conversation send-markdown picnic '**noon**, by the lake'")]
        SendMarkdown(As<send::SendMarkdown>),
        /// Answer a message
        #[command(after_help = "Example: folkmoot xmtp conversation send-reply picnic MESSAGE_ID 'I bring tea'")]
        SendReply(As<send::SendReply>),
        /// Put an emoji to a message, or take it away
        #[command(after_help = "Example: folkmoot xmtp conversation send-reaction picnic MESSAGE_ID add 👍")]
        SendReaction(As<send::SendReaction>),
        /// Say that everything up to now was read
        #[command(after_help = "Example: folkmoot xmtp conversation send-read-receipt picnic")]
        SendReadReceipt(As<send::SendReadReceipt>),
        /// Send a file
        #[command(after_help = "Example: folkmoot xmtp conversation send-attachment picnic map.png")]
        SendAttachment(As<files::SendAttachment>),
        /// Send where an encrypted file lies
        #[command(after_help = "Example: folkmoot xmtp conversation send-remote-attachment picnic https://example.org/map --content-digest HEX --secret BASE64 --salt BASE64 --nonce BASE64")]
        SendRemoteAttachment(As<files::SendRemoteAttachment>),
        /// Send where several encrypted files lie
        #[command(after_help = "Example: folkmoot xmtp conversation send-multi-remote-attachment picnic files.json")]
        SendMultiRemoteAttachment(As<files::SendMultiRemoteAttachment>),
        /// Save the file of a message
        #[command(after_help = "Example: folkmoot xmtp conversation download-attachment picnic MESSAGE_ID --output map.png")]
        DownloadAttachment(As<files::DownloadAttachment>),
        /// Offer choices to pick one from
        #[command(after_help = "Example: folkmoot xmtp conversation send-actions picnic 'Where to?' lake='To the lake' hill='Up the hill'")]
        SendActions(As<actions::SendActions>),
        /// Pick one of the choices that were offered
        #[command(after_help = "Example: folkmoot xmtp conversation send-intent picnic ACTIONS_ID lake")]
        SendIntent(As<actions::SendIntent>),
        /// Tell of a transaction, from a JSON file with networkId, reference and perhaps namespace and metadata
        #[command(after_help = "Example: folkmoot xmtp conversation send-transaction-reference picnic reference.json")]
        SendTransactionReference(As<payments::SendTransactionReference>),
        /// Ask for calls by the receiver's wallet (EIP-5792), from a JSON file with version, chainId, from and calls
        #[command(after_help = "Example: folkmoot xmtp conversation send-wallet-send-calls picnic calls.json")]
        SendWalletSendCalls(As<payments::SendWalletSendCalls>),
        /// Send content of any type, from a JSON file
        #[command(after_help = "Example: folkmoot xmtp conversation send-content picnic example.org/dice:1.0 dice.json")]
        SendContent(As<actions::SendContent>),
        /// Rewrite a message of our own (a draft of the protocol)
        #[command(after_help = "Example: folkmoot xmtp conversation edit-message picnic MESSAGE_ID 'See you at one'")]
        EditMessage(As<send::EditMessage>),
        /// Take a message back, for everybody
        #[command(after_help = "Example: folkmoot xmtp conversation delete-message picnic MESSAGE_ID")]
        DeleteMessage(As<send::DeleteMessage>),
        /// Send what was stored with --optimistic
        #[command(after_help = "Example: folkmoot xmtp conversation publish-messages picnic")]
        PublishMessages(As<send::PublishMessages>),
        /// Add members
        #[command(after_help = "Example: folkmoot xmtp conversation add-members picnic 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
        AddMembers(As<manage::AddMembers>),
        /// Remove members
        #[command(after_help = "Example: folkmoot xmtp conversation remove-members picnic 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
        RemoveMembers(As<manage::RemoveMembers>),
        /// Make a member admin
        #[command(after_help = "Example: folkmoot xmtp conversation add-admin picnic INBOX_ID")]
        AddAdmin(As<manage::AddAdmin>),
        /// Make an admin a plain member
        #[command(after_help = "Example: folkmoot xmtp conversation remove-admin picnic INBOX_ID")]
        RemoveAdmin(As<manage::RemoveAdmin>),
        /// Make a member super admin
        #[command(after_help = "Example: folkmoot xmtp conversation add-super-admin picnic INBOX_ID")]
        AddSuperAdmin(As<manage::AddSuperAdmin>),
        /// Make a super admin a plain member
        #[command(after_help = "Example: folkmoot xmtp conversation remove-super-admin picnic INBOX_ID")]
        RemoveSuperAdmin(As<manage::RemoveSuperAdmin>),
        /// Set the name
        #[command(after_help = "Example: folkmoot xmtp conversation update-name picnic 'Picnic on Sunday'")]
        UpdateName(As<manage::UpdateName>),
        /// Set what it is about
        #[command(after_help = "Example: folkmoot xmtp conversation update-description picnic 'By the lake'")]
        UpdateDescription(As<manage::UpdateDescription>),
        /// Set where its picture is
        #[command(after_help = "Example: folkmoot xmtp conversation update-image-url picnic https://example.org/lake.png")]
        UpdateImageUrl(As<manage::UpdateImageUrl>),
        /// Show or set what apps keep with it
        #[command(after_help = "Example: folkmoot xmtp conversation app-data picnic")]
        AppData(As<manage::AppData>),
        /// Set who may do something
        #[command(after_help = "Example: folkmoot xmtp conversation update-permission picnic --type add-member --policy admin")]
        UpdatePermission(As<manage::UpdatePermission>),
        /// Move what the group keeps into an AppData dictionary (libxmtp 1.11), for good
        ///
        /// There is no way back. Programs older than libxmtp 1.11 stand still in the group from then on. Official
        /// apps of today cannot show the permissions of such a group, and the browser SDK cannot open it at all.
        /// Needs XMTP_APP_DATA_GROUPS=true, and members whose programs all announce the new form.
        #[command(after_help = "Example: folkmoot xmtp conversation convert-metadata picnic")]
        ConvertMetadata(As<manage::ConvertMetadata>),
        /// Say what we think of the conversation
        #[command(after_help = "Example: folkmoot xmtp conversation update-consent picnic --state allowed")]
        UpdateConsent(As<manage::UpdateConsent>),
        /// Show, set or end how long messages stay
        #[command(after_help = "Example: folkmoot xmtp conversation disappearing picnic --after 12h")]
        Disappearing(As<disappearing::Disappearing>),
        /// Ask to be removed: an admin's app then does it
        #[command(after_help = "Example: folkmoot xmtp conversation request-removal picnic")]
        RequestRemoval(As<manage::RequestRemoval>),
        /// Leave: the same as request-removal
        #[command(after_help = "Example: folkmoot xmtp conversation leave picnic")]
        Leave(As<manage::RequestRemoval>),
        /// Add installations again that have lost the group: super admins may
        #[command(after_help = "Example: folkmoot xmtp conversation readd-installations picnic INSTALLATION_ID")]
        ReaddInstallations(As<manage::ReaddInstallations>),
        /// Ask to be added again: the super admins' apps do it
        #[command(after_help = "Example: folkmoot xmtp conversation request-readd picnic")]
        RequestReadd(As<manage::RequestReadd>),
    }
}
