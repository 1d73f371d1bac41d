//! How a node behaves, and the forms that say so (XEP-0060 §8.2, §7.1.5).

use jid::{BareJid, DomainPart};

use super::{ERRORS, NODE_CONFIG, PUBLISH_OPTIONS, Service, ServiceKind};
use crate::{
    forms::{Field, FieldKind, Form, FormKind},
    stanza::{Condition, StanzaError},
    xml::{Element, Limits, Markup},
};

/// Characters of a title, a description or a type.
const TEXT: usize = 2000;
/// Groups that may be named.
const GROUPS: usize = 100;

macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal, $label:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $type { $($(#[$variant_doc])* $variant,)+ }

        impl $type {
            /// The value in forms.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The one of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }

            const CHOICES: &[(&str, &str)] = &[$(($name, $label),)+];
        }
    };
}

named! {
    /// Who may read.
    AccessModel {
        /// To whom an owner agreed.
        Authorize = "authorize", "Who asked an owner";
        /// Everybody.
        Open = "open", "Everybody";
        /// Who sees the owner's presence.
        Presence = "presence", "Who sees the owner's presence";
        /// Who stands in certain groups of the owner's roster.
        Roster = "roster", "Certain groups of contacts";
        /// Members.
        Whitelist = "whitelist", "Members";
    }
}

named! {
    /// Who may publish, beside owners and publishers.
    PublishModel {
        /// Everybody.
        Open = "open", "Everybody";
        /// Nobody else.
        Publishers = "publishers", "Publishers";
        /// Who is subscribed.
        Subscribers = "subscribers", "Subscribers";
    }
}

named! {
    /// When somebody is sent the last item unasked.
    LastItem {
        /// Never.
        Never = "never", "Never";
        /// On subscribing.
        OnSub = "on_sub", "On subscribing";
        /// On subscribing and on becoming available.
        OnSubAndPresence = "on_sub_and_presence", "On subscribing and on coming online";
    }
}

/// How a node behaves.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the switches of the specification's form"
)]
pub struct Config {
    /// What people call it.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// The namespace of its payloads, empty for any.
    pub payload_type: String,
    /// Who may read.
    pub access_model: AccessModel,
    /// In [`AccessModel::Roster`], which groups.
    pub roster_groups: Vec<String>,
    /// Who may publish.
    pub publish_model: PublishModel,
    /// Most items kept; `None` for as many as the service allows.
    pub max_items: Option<u32>,
    /// Whether items are kept at all.
    pub persist_items: bool,
    /// Whether anybody is notified of anything.
    pub deliver_notifications: bool,
    /// Whether notifications carry payloads.
    pub deliver_payloads: bool,
    /// Whether a change of the configuration is told.
    pub notify_config: bool,
    /// Whether the end of the node is told.
    pub notify_delete: bool,
    /// Whether every retraction is told.
    pub notify_retract: bool,
    /// When somebody is sent the last item unasked.
    pub last_item: LastItem,
    /// Whether notifications are news that nobody keeps, or messages.
    pub headline: bool,
    /// Seconds for which an item is kept; `None` for ever.
    pub item_expire: Option<u32>,
}

impl Config {
    /// Of a node at an account (XEP-0163 §3).
    #[must_use]
    pub fn pep() -> Self {
        Self {
            title: String::new(),
            description: String::new(),
            payload_type: String::new(),
            access_model: AccessModel::Presence,
            roster_groups: Vec::new(),
            publish_model: PublishModel::Publishers,
            max_items: Some(1),
            persist_items: true,
            deliver_notifications: true,
            deliver_payloads: true,
            notify_config: false,
            notify_delete: true,
            notify_retract: true,
            last_item: LastItem::OnSubAndPresence,
            headline: true,
            item_expire: None,
        }
    }

    /// Of a node on a service of its own.
    #[must_use]
    pub fn shared() -> Self {
        Self {
            access_model: AccessModel::Open,
            max_items: Some(20),
            last_item: LastItem::OnSub,
            ..Self::pep()
        }
    }

    /// For what an account keeps for itself (XEP-0223).
    #[must_use]
    pub fn private() -> Self {
        Self {
            access_model: AccessModel::Whitelist,
            max_items: None,
            last_item: LastItem::Never,
            ..Self::pep()
        }
    }

    /// How many items are kept.
    #[must_use]
    pub fn kept(&self, service: &Service) -> u32 {
        if !self.persist_items {
            return 0;
        }
        self.max_items.unwrap_or(u32::MAX).min(service.most_items)
    }

    /// The form that an owner fills in.
    #[must_use]
    pub fn form(&self, service: &Service) -> Form {
        let max_items = match self.max_items {
            Some(number) => number.to_string(),
            None => "max".to_owned(),
        };
        let number =
            |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
        let flag = |name: &str, value: bool, label: &str| {
            Field::flag(format!("pubsub#{name}"), value).label(label)
        };
        let text = |name: &str, value: &str, label: &str| {
            Field::text(format!("pubsub#{name}"), value).label(label)
        };
        Form::new(FormKind::Form, NODE_CONFIG)
            .with(text("title", &self.title, "Name"))
            .with(text("description", &self.description, "Description"))
            .with(text(
                "type",
                &self.payload_type,
                "Namespace of the payloads",
            ))
            .with(
                Field::choice(
                    "pubsub#access_model",
                    self.access_model.name(),
                    AccessModel::CHOICES,
                )
                .label("Who may read"),
            )
            .with(
                Field::new("pubsub#roster_groups_allowed", FieldKind::TextMulti)
                    .values(&self.roster_groups)
                    .label("Groups of contacts that may read"),
            )
            .with(
                Field::choice(
                    "pubsub#publish_model",
                    self.publish_model.name(),
                    PublishModel::CHOICES,
                )
                .label("Who may publish"),
            )
            .with(text("max_items", &max_items, "Most items kept, or max"))
            .with(flag("persist_items", self.persist_items, "Keep items"))
            .with(text(
                "item_expire",
                &number(self.item_expire),
                "Seconds for which an item is kept",
            ))
            .with(flag(
                "deliver_notifications",
                self.deliver_notifications,
                "Notify",
            ))
            .with(flag(
                "deliver_payloads",
                self.deliver_payloads,
                "Notify with payloads",
            ))
            .with(flag(
                "notify_config",
                self.notify_config,
                "Tell changes of the configuration",
            ))
            .with(flag(
                "notify_delete",
                self.notify_delete,
                "Tell when the node is deleted",
            ))
            .with(flag(
                "notify_retract",
                self.notify_retract,
                "Tell every retraction",
            ))
            .with(
                Field::choice(
                    "pubsub#send_last_published_item",
                    self.last_item.name(),
                    LastItem::CHOICES,
                )
                .label("When the last item is sent unasked"),
            )
            .with(
                Field::choice(
                    "pubsub#notification_type",
                    if self.headline { "headline" } else { "normal" },
                    &[("headline", "News"), ("normal", "Messages")],
                )
                .label("Type of notifications"),
            )
            .with(text(
                "max_payload_size",
                &service.most_bytes.to_string(),
                "Most bytes of an item",
            ))
    }

    /// The configuration with what a submitted form says; fields that are not in it stay as they are.
    ///
    /// # Errors
    ///
    /// `not-acceptable`, with the field named, for a value that it cannot have.
    pub fn with(&self, form: &Form, service: &Service) -> Result<Self, StanzaError> {
        let mut config = self.clone();
        for field in form.fields.iter().filter(|field| field.name != "FORM_TYPE") {
            config.set(field, form, service)?;
        }
        Ok(config)
    }

    /// Takes one field over; `false` when there is no such field.
    fn set(&mut self, field: &Field, form: &Form, service: &Service) -> Result<bool, StanzaError> {
        let value = field.first();
        let wrong = || {
            let text = format!("{} cannot be {value:?}", field.name);
            StanzaError::new(Condition::NotAcceptable).text(text)
        };
        let text = |value: &str| {
            if value.chars().count() > TEXT {
                return Err(wrong());
            }
            Ok(value.to_owned())
        };
        let name = field.name.strip_prefix("pubsub#").unwrap_or_default();
        match name {
            "title" => self.title = text(value)?,
            "description" => self.description = text(value)?,
            "type" => self.payload_type = text(value)?,
            "access_model" => {
                self.access_model = AccessModel::from_name(value).ok_or_else(wrong)?
            }
            "publish_model" => {
                self.publish_model = PublishModel::from_name(value).ok_or_else(wrong)?
            }
            "send_last_published_item" => {
                self.last_item = LastItem::from_name(value).ok_or_else(wrong)?
            }
            "roster_groups_allowed" => {
                if field.values.len() > GROUPS {
                    return Err(wrong());
                }
                self.roster_groups.clone_from(&field.values);
            }
            "max_items" if value == "max" => self.max_items = None,
            "max_items" => {
                let number: u32 = value.parse().map_err(|_| wrong())?;
                if number > service.most_items {
                    return Err(wrong());
                }
                self.max_items = Some(number);
            }
            "item_expire" => {
                self.item_expire = match value {
                    "" | "max" => None,
                    number => Some(number.parse().map_err(|_| wrong())?),
                }
            }
            "max_payload_size" => {
                let number: u64 = value.parse().map_err(|_| wrong())?;
                if number > u64::from(service.most_bytes) {
                    return Err(wrong());
                }
            }
            "notification_type" => {
                self.headline = match value {
                    "headline" => true,
                    "normal" | "chat" => false,
                    _ => return Err(wrong()),
                }
            }
            _ => {
                let Some(switch) = self.switch(name) else {
                    return Ok(false);
                };
                *switch = form.flag(&field.name)?.ok_or_else(wrong)?;
            }
        }
        Ok(true)
    }

    fn switch(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "persist_items" => &mut self.persist_items,
            "deliver_notifications" => &mut self.deliver_notifications,
            "deliver_payloads" => &mut self.deliver_payloads,
            "notify_config" => &mut self.notify_config,
            "notify_delete" => &mut self.notify_delete,
            "notify_retract" => &mut self.notify_retract,
            _ => return None,
        })
    }

    /// Whether the node is as who publishes wants it (XEP-0060 §7.1.5).
    ///
    /// # Errors
    ///
    /// `conflict` with `precondition-not-met` when a field says something else or is not known.
    pub fn meets(&self, options: &Form, service: &Service) -> Result<(), StanzaError> {
        let wanted = self.overridden(options, service)?;
        let same = Self {
            max_items: Some(wanted.kept(service)),
            ..wanted
        } == Self {
            max_items: Some(self.kept(service)),
            ..self.clone()
        };
        if same {
            return Ok(());
        }
        let differs = options
            .fields
            .iter()
            .filter(|field| {
                let mut other = self.clone();
                other.set(field, options, service).is_ok_and(|_| {
                    other != *self
                        && (field.name != "pubsub#max_items"
                            || other.kept(service) != self.kept(service))
                })
            })
            .map(|field| field.name.as_str());
        let names: Vec<_> = differs.collect();
        Err(not_met(&format!(
            "the node is configured otherwise: {}",
            names.join(", ")
        )))
    }

    /// The configuration of a new node that `options` demand.
    ///
    /// # Errors
    ///
    /// As [`Self::meets`], for fields that are not known or have impossible values.
    pub fn overridden(&self, options: &Form, service: &Service) -> Result<Self, StanzaError> {
        if !matches!(options.form_type(), None | Some(PUBLISH_OPTIONS)) {
            return Err(not_met("the options are those of another form"));
        }
        let mut config = self.clone();
        for field in options
            .fields
            .iter()
            .filter(|field| field.name != "FORM_TYPE")
        {
            let known = config.set(field, options, service);
            if !known.map_err(|error| not_met(&error.to_string()))? {
                return Err(not_met(&format!("{} is no precondition here", field.name)));
            }
        }
        Ok(config)
    }

    /// The configuration as it is stored.
    #[must_use]
    pub fn stored(&self) -> Vec<u8> {
        let mut form = self.form(&unbounded());
        form.kind = FormKind::Submit;
        let plain = |field: Field| Field {
            label: None,
            options: Vec::new(),
            ..field
        };
        form.fields = form.fields.into_iter().map(plain).collect();
        let mut out = Markup::default();
        form.write(&mut out);
        out.into_bytes()
    }

    /// The configuration that was stored; what it does not say is as [`Self::pep`] has it.
    ///
    /// # Errors
    ///
    /// `internal-server-error` when it is not what [`Self::stored`] wrote.
    pub fn restored(stored: &[u8]) -> Result<Self, StanzaError> {
        let broken = || {
            StanzaError::new(Condition::InternalServerError)
                .text("a node's stored configuration is broken")
        };
        let x = Element::parse(stored, Limits::OWN).map_err(|_| broken())?;
        let form = Form::read(&x).map_err(|_| broken())?;
        Self::pep().with(&form, &unbounded()).map_err(|_| broken())
    }
}

/// A service that takes whatever was stored.
fn unbounded() -> Service {
    let domain = DomainPart::new("localhost").expect("localhost is a domain");
    Service {
        most_items: u32::MAX,
        most_bytes: u32::MAX,
        ..Service::new(BareJid::from_parts(None, &domain), ServiceKind::Pep)
    }
}

fn not_met(text: &str) -> StanzaError {
    StanzaError::new(Condition::Conflict)
        .text(text)
        .detail_named(ERRORS, "precondition-not-met")
}
