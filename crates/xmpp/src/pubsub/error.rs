//! Errors with the element that says exactly what is wrong (XEP-0060 §7 and on).

use super::ERRORS;
use crate::{
    stanza::{Condition, ErrorType, StanzaError},
    xml::Markup,
};

/// An error of that condition that an element of [`ERRORS`] explains.
pub(super) fn refused(condition: Condition, detail: &str, text: &str) -> StanzaError {
    StanzaError::new(condition)
        .text(text)
        .detail_named(ERRORS, detail)
}

/// Something that is not built, by the name of its feature.
pub(super) fn unsupported(feature: &str) -> StanzaError {
    let mut out = Markup::default();
    out.open("unsupported").attribute("xmlns", ERRORS);
    out.attribute("feature", feature).end();
    StanzaError::new(Condition::FeatureNotImplemented).detail(out.into_element(""))
}

/// Only owners may.
pub(super) fn not_owner() -> StanzaError {
    StanzaError::new(Condition::Forbidden).text("only owners of the node may do that")
}

/// No node is named.
pub(super) fn no_node() -> StanzaError {
    refused(Condition::BadRequest, "nodeid-required", "no node is named")
}

/// There is no subscription.
pub(super) fn not_subscribed() -> StanzaError {
    refused(
        Condition::UnexpectedRequest,
        "not-subscribed",
        "there is no such subscription",
    )
    .of_type(ErrorType::Cancel)
}
