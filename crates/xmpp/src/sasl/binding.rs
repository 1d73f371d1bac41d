//! What ties an authentication to its TLS connection (RFC 5056).

/// The kinds of channel bindings.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BindingType {
    /// 32 bytes exported under the label `EXPORTER-Channel-Binding` (RFC 9266); TLS 1.3.
    Exporter,
    /// The hash of the server's certificate (RFC 5929 §4).
    ServerEndPoint,
}

impl BindingType {
    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exporter => "tls-exporter",
            Self::ServerEndPoint => "tls-server-end-point",
        }
    }

    /// The binding of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Exporter, Self::ServerEndPoint]
            .into_iter()
            .find(|binding| binding.name() == name)
    }
}

/// The bindings that a connection has: none without TLS, or behind a proxy that ends it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChannelBindings {
    /// Exported by TLS 1.3.
    pub exporter: Option<[u8; 32]>,
    /// The hash of the certificate shown.
    pub server_end_point: Option<Vec<u8>>,
}

impl ChannelBindings {
    /// The data of a binding, if this connection has it.
    #[must_use]
    pub fn data(&self, binding: BindingType) -> Option<&[u8]> {
        match binding {
            BindingType::Exporter => self.exporter.as_ref().map(|data| &data[..]),
            BindingType::ServerEndPoint => self.server_end_point.as_deref(),
        }
    }

    /// Whether there is one.
    #[must_use]
    pub fn any(&self) -> bool {
        self.exporter.is_some() || self.server_end_point.is_some()
    }

    /// Those that there are, to be advertised (XEP-0440).
    pub fn types(&self) -> impl Iterator<Item = BindingType> {
        [BindingType::Exporter, BindingType::ServerEndPoint]
            .into_iter()
            .filter(|binding| self.data(*binding).is_some())
    }
}
