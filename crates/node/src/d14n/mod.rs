//! The services of the decentralised network.

use tonic::service::RoutesBuilder;

use crate::Node;

/// Adds the d14n services to `routes`.
pub(crate) fn add(_: &Node, _: &mut RoutesBuilder) {}
