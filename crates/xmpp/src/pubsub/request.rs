//! What is asked of a service.

use bytes::Bytes;
use jid::{BareJid, Jid};

use super::{
    Affiliation, NS, OWNER, Subscribed,
    error::{no_node, refused, unsupported},
};
use crate::{
    forms::Form,
    rsm::{PageRequest, Place},
    stanza::{Condition, IqType, StanzaError},
    xml::Element,
};

/// Items in one answer.
const PAGE: usize = 100;
/// Bytes of a node's or an item's name.
const NAME: usize = 1023;
/// Items, members or subscriptions that one request may name.
const MANY: usize = 500;

/// What is asked.
#[derive(Clone, Debug)]
pub enum Request {
    /// Who is something to the node.
    Affiliations {
        /// The node.
        node: String,
    },
    /// The form of the node's configuration.
    ConfigForm {
        /// The node.
        node: String,
    },
    /// A new configuration; `None` leaves the old one.
    Configure {
        /// The node.
        node: String,
        /// The form.
        form: Option<Form>,
    },
    /// A new node.
    Create {
        /// Its name; `None` for any.
        name: Option<String>,
        /// Its configuration, where it differs.
        form: Option<Form>,
    },
    /// The configuration of nodes for which nobody says anything.
    DefaultConfig,
    /// The node's end.
    Delete {
        /// The node.
        node: String,
        /// The URI of what takes its place.
        redirect: Option<String>,
    },
    /// Items.
    Items {
        /// The node.
        node: String,
        /// Which.
        which: Wants,
    },
    /// What who asks is to the nodes of the service, or to one of them.
    OwnAffiliations {
        /// The node.
        node: Option<String>,
    },
    /// The subscriptions of who asks, to all nodes of the service or to one of them.
    OwnSubscriptions {
        /// The node.
        node: Option<String>,
    },
    /// Publish items.
    Publish(Publish),
    /// Remove all items.
    Purge {
        /// The node.
        node: String,
    },
    /// Take an item back.
    Retract {
        /// The node.
        node: String,
        /// The item.
        id: String,
        /// Whether subscribers are told even where that is not usual.
        notify: bool,
    },
    /// Make people something to the node.
    SetAffiliations {
        /// The node.
        node: String,
        /// Whom, and what.
        changes: Vec<(BareJid, Affiliation)>,
    },
    /// Change the subscriptions of others.
    SetSubscriptions {
        /// The node.
        node: String,
        /// Whose, and to what; `None` ends one.
        changes: Vec<(Jid, Option<Subscribed>)>,
    },
    /// Be notified.
    Subscribe {
        /// The node.
        node: String,
        /// Who shall be.
        who: Jid,
    },
    /// Who is subscribed to the node.
    Subscriptions {
        /// The node.
        node: String,
    },
    /// Be no longer notified.
    Unsubscribe {
        /// The node.
        node: String,
        /// Who shall not be.
        who: Jid,
    },
}

/// Items to publish.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The node.
    pub node: String,
    /// Each with its id, if who publishes gives one, and its payload.
    pub items: Vec<(Option<String>, Option<Bytes>)>,
    /// The preconditions.
    pub options: Option<Form>,
}

/// Which items a request needs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Wants {
    /// None.
    #[default]
    Nothing,
    /// Those of these ids, as far as there are any.
    Ids(Vec<String>),
    /// The newest, so many.
    Newest(usize),
    /// A page of so many items at most, oldest first.
    Page(PageRequest, usize),
}

impl Request {
    /// Reads the payload of an IQ of type get or set from `asker`.
    ///
    /// # Errors
    ///
    /// `bad-request` with what is missing, `feature-not-implemented` with what is not built.
    pub fn read(kind: IqType, pubsub: &Element, asker: &Jid) -> Result<Self, StanzaError> {
        let namespace = pubsub.name.namespace.as_str();
        let action = pubsub
            .children()
            .iter()
            .find(|child| child.name.namespace.as_str() == namespace)
            .and_then(|child| pubsub.open(child).ok());
        let Some(action) = action else {
            return Err(StanzaError::new(Condition::BadRequest).text("nothing is asked"));
        };
        match (namespace, kind, action.name.local.as_str()) {
            (NS, IqType::Set, "publish") => Publish::read(pubsub, &action).map(Self::Publish),
            (NS, IqType::Get, "items") => Self::items(pubsub, &action),
            (NS, IqType::Set, "retract") => Self::retract(&action),
            (NS, IqType::Set, "subscribe") => Ok(Self::Subscribe {
                node: node(&action)?,
                who: subscriber(&action, asker)?,
            }),
            (NS, IqType::Set, "unsubscribe") => Ok(Self::Unsubscribe {
                node: node(&action)?,
                who: subscriber(&action, asker)?,
            }),
            (NS, IqType::Get, "subscriptions") => Ok(Self::OwnSubscriptions {
                node: action.attribute("node").map(str::to_owned),
            }),
            (NS, IqType::Get, "affiliations") => Ok(Self::OwnAffiliations {
                node: action.attribute("node").map(str::to_owned),
            }),
            (NS, _, "options") => Err(unsupported("subscription-options")),
            (NS, IqType::Set, "create") => {
                let configure = pubsub.open_child(NS, "configure");
                let form = configure.map(|configure| Form::in_element(&configure));
                let name = action.attribute("node").filter(|name| !name.is_empty());
                Ok(Self::Create {
                    name: name.map(bounded).transpose()?,
                    form: form.transpose()?.flatten(),
                })
            }
            (OWNER, IqType::Get, "default") => Ok(Self::DefaultConfig),
            (OWNER, IqType::Get, "configure") => Ok(Self::ConfigForm {
                node: node(&action)?,
            }),
            (OWNER, IqType::Set, "configure") => Self::configure(&action),
            (OWNER, IqType::Set, "delete") => Ok(Self::Delete {
                node: node(&action)?,
                redirect: action
                    .open_child(OWNER, "redirect")
                    .and_then(|redirect| redirect.attribute("uri").map(str::to_owned)),
            }),
            (OWNER, IqType::Set, "purge") => Ok(Self::Purge {
                node: node(&action)?,
            }),
            (OWNER, IqType::Get, "affiliations") => Ok(Self::Affiliations {
                node: node(&action)?,
            }),
            (OWNER, IqType::Set, "affiliations") => Self::set_affiliations(&action),
            (OWNER, IqType::Get, "subscriptions") => Ok(Self::Subscriptions {
                node: node(&action)?,
            }),
            (OWNER, IqType::Set, "subscriptions") => Self::set_subscriptions(&action),
            _ => Err(Condition::FeatureNotImplemented.into()),
        }
    }

    /// The node that it names, which the caller loads.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::DefaultConfig => None,
            Self::Create { name: node, .. }
            | Self::OwnAffiliations { node }
            | Self::OwnSubscriptions { node } => node.as_deref(),
            Self::Publish(publish) => Some(&publish.node),
            Self::Affiliations { node }
            | Self::ConfigForm { node }
            | Self::Configure { node, .. }
            | Self::Delete { node, .. }
            | Self::Items { node, .. }
            | Self::Purge { node }
            | Self::Retract { node, .. }
            | Self::SetAffiliations { node, .. }
            | Self::SetSubscriptions { node, .. }
            | Self::Subscribe { node, .. }
            | Self::Subscriptions { node }
            | Self::Unsubscribe { node, .. } => Some(node),
        }
    }

    /// Which of the node's items the caller loads.
    #[must_use]
    pub fn wants(&self) -> Wants {
        match self {
            Self::Items { which, .. } => which.clone(),
            Self::Retract { id, .. } => Wants::Ids(vec![id.clone()]),
            Self::Subscribe { .. } => Wants::Newest(1),
            _ => Wants::Nothing,
        }
    }

    fn items(pubsub: &Element, items: &Element) -> Result<Self, StanzaError> {
        let node = node(items)?;
        let ids: Vec<String> = items
            .open_children(NS, "item")
            .filter_map(|item| item.attribute("id").map(str::to_owned))
            .collect();
        if ids.len() > MANY {
            return Err(StanzaError::new(Condition::BadRequest).text("too many items are named"));
        }
        let newest = items
            .attribute("max_items")
            .map(str::parse::<usize>)
            .transpose();
        let newest = newest
            .map_err(|_| StanzaError::new(Condition::BadRequest).text("max_items is no number"))?;
        let page = PageRequest::read(pubsub)?;
        let which = match newest {
            _ if !ids.is_empty() => Wants::Ids(ids),
            Some(newest) => Wants::Newest(newest.min(PAGE)),
            None => {
                let paged = page.max.is_some() || page.place != Place::Start;
                // Without paging everything is asked for; more than a page is answered with its place.
                let max = page
                    .max
                    .unwrap_or(if paged { PAGE } else { MANY })
                    .min(MANY);
                Wants::Page(page, max)
            }
        };
        Ok(Self::Items { node, which })
    }

    fn retract(retract: &Element) -> Result<Self, StanzaError> {
        let node = node(retract)?;
        let item = retract.open_child(NS, "item");
        let id = item.and_then(|item| item.attribute("id").map(str::to_owned));
        Ok(Self::Retract {
            node,
            id: id.ok_or_else(|| {
                refused(Condition::BadRequest, "item-required", "no item is named")
            })?,
            notify: matches!(retract.attribute("notify"), Some("true" | "1")),
        })
    }

    fn configure(configure: &Element) -> Result<Self, StanzaError> {
        let node = node(configure)?;
        let form = Form::in_element(configure)?;
        let form = form
            .ok_or_else(|| StanzaError::new(Condition::BadRequest).text("the form is missing"))?;
        let form = match form.kind {
            crate::forms::FormKind::Cancel => None,
            crate::forms::FormKind::Submit => Some(form),
            _ => {
                return Err(
                    StanzaError::new(Condition::BadRequest).text("the form is not submitted")
                );
            }
        };
        Ok(Self::Configure { node, form })
    }

    fn set_affiliations(affiliations: &Element) -> Result<Self, StanzaError> {
        let changes = affiliations.open_children(OWNER, "affiliation").map(|one| {
            let name = one.attribute("affiliation").unwrap_or_default();
            let affiliation = Affiliation::from_name(name).ok_or_else(|| {
                StanzaError::new(Condition::NotAcceptable)
                    .text(format!("there is no affiliation {name:?}"))
            })?;
            Ok((address(&one)?.into_bare(), affiliation))
        });
        Ok(Self::SetAffiliations {
            node: node(affiliations)?,
            changes: several(changes)?,
        })
    }

    fn set_subscriptions(subscriptions: &Element) -> Result<Self, StanzaError> {
        let changes = subscriptions
            .open_children(OWNER, "subscription")
            .map(|one| {
                let state = match one.attribute("subscription") {
                    Some("subscribed") => Some(Subscribed::Yes),
                    Some("pending") => Some(Subscribed::Pending),
                    Some("none") => None,
                    other => {
                        let text =
                            format!("there is no subscription {:?}", other.unwrap_or_default());
                        return Err(StanzaError::new(Condition::NotAcceptable).text(text));
                    }
                };
                Ok((address(&one)?, state))
            });
        Ok(Self::SetSubscriptions {
            node: node(subscriptions)?,
            changes: several(changes)?,
        })
    }
}

impl Publish {
    fn read(pubsub: &Element, publish: &Element) -> Result<Self, StanzaError> {
        let mut items = Vec::new();
        for item in publish.open_children(NS, "item") {
            let payload = match item.children() {
                [] => None,
                [payload] => {
                    let payload = item.open(payload).map_err(|_| Condition::BadRequest)?;
                    let mut written = Vec::new();
                    payload.write("", &mut written);
                    Some(written.into())
                }
                _ => {
                    let text = "an item has one payload";
                    return Err(refused(Condition::BadRequest, "invalid-payload", text));
                }
            };
            let id = item.attribute("id").filter(|id| !id.is_empty());
            items.push((id.map(bounded).transpose()?, payload));
        }
        if items.len() > MANY {
            return Err(refused(
                Condition::NotAllowed,
                "max-items-exceeded",
                "too many items at once",
            ));
        }
        let options = pubsub.open_child(NS, "publish-options");
        let options = options.map(|options| Form::in_element(&options));
        Ok(Self {
            node: node(publish)?,
            items,
            options: options.transpose()?.flatten(),
        })
    }
}

fn node(action: &Element) -> Result<String, StanzaError> {
    let name = action.attribute("node").filter(|name| !name.is_empty());
    bounded(name.ok_or_else(no_node)?)
}

fn bounded(name: &str) -> Result<String, StanzaError> {
    if name.len() > NAME {
        let text = format!("a name has at most {NAME} bytes");
        return Err(StanzaError::new(Condition::NotAcceptable).text(text));
    }
    Ok(name.to_owned())
}

fn several<T>(all: impl Iterator<Item = Result<T, StanzaError>>) -> Result<Vec<T>, StanzaError> {
    let all: Vec<T> = all.collect::<Result<_, _>>()?;
    if all.is_empty() || all.len() > MANY {
        return Err(StanzaError::new(Condition::BadRequest).text("nobody is named, or too many"));
    }
    Ok(all)
}

fn address(element: &Element) -> Result<Jid, StanzaError> {
    let jid = element.attribute("jid").unwrap_or_default();
    Jid::new(jid).map_err(|_| {
        StanzaError::new(Condition::JidMalformed).text(format!("{jid:?} is no address"))
    })
}

/// Nobody subscribes anybody else.
fn subscriber(action: &Element, asker: &Jid) -> Result<Jid, StanzaError> {
    let Some(jid) = action.attribute("jid") else {
        return Err(refused(
            Condition::BadRequest,
            "jid-required",
            "no address is named",
        ));
    };
    let who = Jid::new(jid).ok();
    who.filter(|who| who.to_bare() == asker.to_bare())
        .ok_or_else(|| {
            refused(
                Condition::BadRequest,
                "invalid-jid",
                "you may subscribe your own addresses only",
            )
        })
}
