//! XML that clients keep for themselves (XEP-0049).

use folkmoot_store::xmpp::Stored;
use folkmoot_xmpp::{
    private::{self, Request},
    stanza::{Condition, IqType, Stanza, StanzaError},
    xml::Element,
};

use crate::{router::failed, session::Session};

/// Answers a client.
///
/// # Errors
///
/// What is wrong with the request, or that nothing more is kept.
pub(crate) async fn handle(
    session: &Session,
    iq: &Stanza,
    kind: IqType,
    query: &Element,
) -> Result<Vec<Stanza>, StanzaError> {
    let (router, account) = (&session.router, &session.account.address);
    match Request::read(kind, query)? {
        Request::Get(name) => {
            let (namespace, local) = (name.namespace.as_str(), name.local.as_str());
            let kept = router.store.private_xml(account, namespace, local).await;
            let kept = kept.map_err(|cause| failed(&cause))?;
            Ok(vec![
                iq.result()
                    .with_all(&private::payload(&name, kept.as_deref())),
            ])
        }
        Request::Set(elements) => {
            for element in elements {
                let (namespace, local) =
                    (element.name.namespace.as_str(), element.name.local.as_str());
                let kept = private::kept(&element).into();
                let limit = router.options.private;
                let stored = router
                    .store
                    .put_private_xml(account, namespace, local, kept, limit)
                    .await;
                if stored.map_err(|cause| failed(&cause))? == Stored::Full {
                    return Err(StanzaError::new(Condition::ResourceConstraint)
                        .text(format!("at most {limit} elements are kept")));
                }
            }
            Ok(vec![iq.result()])
        }
    }
}
