//! The gRPC methods that there are, read from the descriptors.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};

use crate::limits::Carries;

/// Methods that put something into the log, or overwrite something in it. Field 1 of each
/// request holds what is published, as one message or as a list.
const PUBLISHING: &[&str] = &[
    "xmtp.identity.api.v1.IdentityApi.PublishIdentityUpdate",
    "xmtp.message_api.v1.MessageApi.Publish",
    "xmtp.mls.api.v1.MlsApi.BatchPublishCommitLog",
    "xmtp.mls.api.v1.MlsApi.RegisterInstallation",
    "xmtp.mls.api.v1.MlsApi.SendGroupMessages",
    "xmtp.mls.api.v1.MlsApi.SendWelcomeMessages",
    "xmtp.mls.api.v1.MlsApi.UploadKeyPackage",
    "xmtp.xmtpv4.gateway_api.GatewayApi.PublishClientEnvelopes",
    "xmtp.xmtpv4.message_api.PublishApi.PublishPayerEnvelopes",
    "xmtp.xmtpv4.message_api.ReplicationApi.PublishPayerEnvelopes",
    "xmtp.xmtpv4.payer_api.PayerApi.PublishClientEnvelopes",
];

/// Methods whose answers are all that is published.
const FEEDS: &[&str] = &["xmtp.xmtpv4.message_api.NotificationApi.SubscribeAllEnvelopes"];

static METHODS: LazyLock<Methods> = LazyLock::new(Methods::read);

struct Methods {
    by_path: HashMap<String, Method>,
    services: Vec<String>,
}

/// One method of one service.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    /// `/package.Service/Method`.
    pub(crate) path: String,
    /// Whether the client sends any number of messages, rather than one.
    pub(crate) client_streams: bool,
    /// Whether the server sends any number of messages, rather than one.
    pub(crate) server_streams: bool,
    /// Whether a call puts something into the log.
    pub(crate) publishes: bool,
    /// What its answers are, if they are a stream.
    pub(crate) carries: Carries,
    pub(crate) input: MessageDescriptor,
    pub(crate) output: MessageDescriptor,
}

impl Method {
    /// The method with the path `/package.Service/Method`, if there is one.
    pub(crate) fn at(path: &str) -> Option<&'static Self> {
        METHODS.by_path.get(path)
    }

    /// Whether an answer may take as long as both sides like.
    pub(crate) const fn is_stream(&self) -> bool {
        self.client_streams || self.server_streams
    }
}

/// The full names of all services, health and reflection not counted.
pub(crate) fn services() -> &'static [String] {
    &METHODS.services
}

impl Methods {
    fn read() -> Self {
        let ours = DescriptorPool::decode(folkmoot_wire::DESCRIPTORS)
            .expect("the compiler of the descriptors checked them");
        let services = ours
            .services()
            .map(|service| service.full_name().to_owned())
            .collect();
        let mut all = ours;
        for foreign in [
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            all.decode_file_descriptor_set(foreign)
                .expect("published descriptors are sound");
        }
        let by_path = all
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .map(|method| Method::from(&method))
            .map(|method| (method.path.clone(), method))
            .collect();
        Self { by_path, services }
    }
}

impl From<&MethodDescriptor> for Method {
    fn from(method: &MethodDescriptor) -> Self {
        let service = method.parent_service().full_name();
        Self {
            path: format!("/{service}/{}", method.name()),
            client_streams: method.is_client_streaming(),
            server_streams: method.is_server_streaming(),
            publishes: PUBLISHING.contains(&method.full_name()),
            carries: match FEEDS.contains(&method.full_name()) {
                true => Carries::Everything,
                false => Carries::Some,
            },
            input: method.input(),
            output: method.output(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_found_by_its_path() {
        let subscribe = Method::at("/xmtp.mls.api.v1.MlsApi/Subscribe").unwrap();
        assert!(subscribe.client_streams && subscribe.server_streams);
        let check = Method::at("/grpc.health.v1.Health/Check").unwrap();
        assert!(!check.is_stream());
        assert!(Method::at("/xmtp.mls.api.v1.MlsApi/Nothing").is_none());
    }

    #[test]
    fn every_publishing_method_exists_and_has_what_it_publishes_in_field_1() {
        for name in PUBLISHING {
            let (service, method) = name.rsplit_once('.').unwrap();
            let method = Method::at(&format!("/{service}/{method}")).unwrap();
            assert!(method.publishes);
            assert!(method.input.get_field(1).is_some(), "{name}");
        }
    }

    #[test]
    fn every_feed_exists_and_is_a_stream() {
        for name in FEEDS {
            let (service, method) = name.rsplit_once('.').unwrap();
            let method = Method::at(&format!("/{service}/{method}")).unwrap();
            assert!(method.server_streams);
            assert_eq!(method.carries, Carries::Everything);
        }
    }
}
