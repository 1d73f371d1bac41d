//! Compiles `proto/` without protoc. Two forms come out: Rust types, and the descriptors
//! that gRPC reflection and the JSON mirror read.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet, field_descriptor_proto::Type as FieldType};

/// Message fields that become byte fields in Rust. On the wire both are length-delimited, so
/// nothing changes there; but bytes keep fields that we do not know, where decoding and
/// encoding again would drop them. Signatures and other nodes depend on the exact bytes.
const KEPT_AS_RECEIVED: &[&str] = &[
    ".xmtp.identity.api.v1.GetIdentityUpdatesResponse.IdentityUpdateLog.update",
    ".xmtp.identity.api.v1.PublishIdentityUpdateRequest.identity_update",
    ".xmtp.xmtpv4.envelopes.ClientEnvelope.identity_update",
    ".xmtp.xmtpv4.gateway_api.PublishClientEnvelopesRequest.envelopes",
    ".xmtp.xmtpv4.message_api.PublishPayerEnvelopesRequest.payer_envelopes",
    ".xmtp.xmtpv4.payer_api.PublishClientEnvelopesRequest.envelopes",
];

const FILES: &[&str] = &[
    "xmtp/device_sync/device_sync.proto",
    "xmtp/identity/api/v1/identity.proto",
    "xmtp/identity/credential.proto",
    "xmtp/message_api/v1/message_api.proto",
    "xmtp/migration/api/v1/migration.proto",
    "xmtp/mls/api/v1/mls.proto",
    "xmtp/mls/message_contents/content.proto",
    "xmtp/mls/message_contents/content_types/content_types.proto",
    "xmtp/mls/message_contents/group_membership.proto",
    "xmtp/mls/message_contents/group_metadata.proto",
    "xmtp/mls/message_contents/group_mutable_metadata.proto",
    "xmtp/mls/message_contents/group_permissions.proto",
    "xmtp/mls/message_contents/transcript_messages.proto",
    "xmtp/mls/message_contents/wrapper_encryption.proto",
    "xmtp/mls_validation/v1/service.proto",
    "xmtp/xmtpv4/gateway_api/gateway_api.proto",
    "xmtp/xmtpv4/message_api/message_api.proto",
    "xmtp/xmtpv4/metadata_api/metadata_api.proto",
    "xmtp/xmtpv4/payer_api/payer_api.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = protox::compile(FILES, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), files.encode_to_vec())?;

    let changed = keep_as_received(&mut files);
    if changed != KEPT_AS_RECEIVED.len() {
        return Err("KEPT_AS_RECEIVED names a field that proto/ does not have".into());
    }
    tonic_prost_build::configure()
        .bytes(".")
        // In order, so that the same value always has the same bytes.
        .btree_map(".xmtp.mls.message_contents")
        .btree_map(".xmtp.device_sync")
        .codec_path("crate::codec::ProtobufCodec")
        .include_file("all.rs")
        .compile_fds(files)?;
    Ok(())
}

fn keep_as_received(files: &mut FileDescriptorSet) -> usize {
    let mut changed = 0;
    for file in &mut files.file {
        let package = format!(".{}", file.package());
        for message in &mut file.message_type {
            changed += keep_fields(message, &package);
        }
    }
    changed
}

fn keep_fields(message: &mut DescriptorProto, parent: &str) -> usize {
    let path = format!("{parent}.{}", message.name());
    let mut changed = 0;
    for field in &mut message.field {
        if KEPT_AS_RECEIVED.contains(&format!("{path}.{}", field.name()).as_str()) {
            field.set_type(FieldType::Bytes);
            field.type_name = None;
            changed += 1;
        }
    }
    for nested in &mut message.nested_type {
        changed += keep_fields(nested, &path);
    }
    changed
}
