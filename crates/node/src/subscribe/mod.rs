//! x
use folkmoot_wire::proto::xmtp::mls::api::v1 as mls;
pub(crate) fn v3(
    _n: &crate::Node,
    _s: tonic::Streaming<mls::SubscribeRequest>,
) -> std::pin::Pin<
    Box<dyn futures::Stream<Item = Result<mls::SubscribeResponse, tonic::Status>> + Send>,
> {
    Box::pin(futures::stream::empty())
}
