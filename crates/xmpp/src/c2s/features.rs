//! What a stream offers at each point (RFC 6120 §4.3).

use super::{BIND, BIND2, FAST, Login, SASL, SASL2, Security, TLS};
use crate::{
    sm,
    xml::{Limits, Markup},
};

const CHANNEL_BINDING: &str = "urn:xmpp:sasl-cb:0";
const LIMITS: &str = "urn:xmpp:stream-limits:0";
const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
const CSI: &str = "urn:xmpp:csi:0";
const CARBONS: &str = "urn:xmpp:carbons:2";

impl Login {
    /// To who has not proven anything yet.
    pub(super) fn write_stranger_features(&mut self) {
        let mut out = Markup::default();
        out.open("stream:features");
        if matches!(self.security, Security::Plain) && self.terms.starttls {
            out.open("starttls").attribute("xmlns", TLS);
            if self.terms.plaintext {
                out.end();
            } else {
                out.open("required").end().close("starttls");
            }
        }
        self.write_mechanisms(&mut out);
        if self.offers_sasl2() {
            self.write_sasl2(&mut out);
        }
        write_limits(&mut out, Limits::STRANGER.element_bytes, None);
        out.close("stream:features");
        self.out.extend_from_slice(&out.into_bytes());
    }

    fn write_mechanisms(&self, out: &mut Markup) {
        let mechanisms = self.mechanisms();
        if mechanisms.is_empty() {
            return;
        }
        out.open("mechanisms").attribute("xmlns", SASL);
        for mechanism in &mechanisms {
            out.open("mechanism")
                .text(mechanism.name())
                .close("mechanism");
        }
        out.close("mechanisms");
        let bindings = self.bindings();
        if bindings.any() {
            out.open("sasl-channel-binding")
                .attribute("xmlns", CHANNEL_BINDING);
            for binding in bindings.types() {
                out.open("channel-binding")
                    .attribute("type", binding.name())
                    .end();
            }
            out.close("sasl-channel-binding");
        }
    }

    fn write_sasl2(&self, out: &mut Markup) {
        out.open("authentication").attribute("xmlns", SASL2);
        for mechanism in self.mechanisms() {
            out.open("mechanism")
                .text(mechanism.name())
                .close("mechanism");
        }
        out.open("inline");
        out.open("bind").attribute("xmlns", BIND2).open("inline");
        for feature in [CARBONS, CSI, sm::NS] {
            out.open("feature").attribute("var", feature).end();
        }
        out.close("inline").close("bind");
        out.open("sm").attribute("xmlns", sm::NS).end();
        let tokens = self.token_mechanisms();
        if !tokens.is_empty() {
            out.open("fast").attribute("xmlns", FAST);
            for mechanism in tokens {
                out.open("mechanism")
                    .text(mechanism.mechanism_name())
                    .close("mechanism");
            }
            out.close("fast");
        }
        out.close("inline").close("authentication");
    }

    /// To who is known: with binding unless a resource is bound.
    pub(super) fn write_known_features(&mut self, to_bind: bool) {
        let mut out = Markup::default();
        out.open("stream:features");
        if to_bind {
            out.open("bind").attribute("xmlns", BIND).end();
            out.open("session").attribute("xmlns", SESSION);
            out.open("optional").end().close("session");
        }
        out.open("sm").attribute("xmlns", sm::NS).end();
        out.open("csi").attribute("xmlns", CSI).end();
        out.raw(&self.terms.features);
        write_limits(
            &mut out,
            self.terms.limits.element_bytes,
            self.terms.idle_seconds,
        );
        out.close("stream:features");
        self.out.extend_from_slice(&out.into_bytes());
    }
}

fn write_limits(out: &mut Markup, bytes: usize, idle_seconds: Option<u32>) {
    out.open("limits").attribute("xmlns", LIMITS);
    out.open("max-bytes")
        .text(&bytes.to_string())
        .close("max-bytes");
    if let Some(seconds) = idle_seconds {
        out.open("idle-seconds")
            .text(&seconds.to_string())
            .close("idle-seconds");
    }
    out.close("limits");
}
