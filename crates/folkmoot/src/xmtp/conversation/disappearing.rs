//! `folkmoot xmtp conversation disappearing`: how long messages stay.

use std::time::Duration;

use clap::Args;
use folkmoot_client::{Clock as _, SystemClock};
use folkmoot_conversation::context::DisappearingSettings;

use super::super::{
    output::Output,
    run::{AsClient, Me},
    value::{Value, object},
    which::Which,
};

/// The arguments of `disappearing`.
#[derive(Args, Debug)]
pub(crate) struct Disappearing {
    #[command(flatten)]
    which: Which,
    /// Let messages disappear after this time: 30s, 5m, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = span)]
    after: Option<Duration>,
    /// Let messages stay
    #[arg(long, conflicts_with = "after")]
    off: bool,
}

impl AsClient for Disappearing {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let mut conversation = self.which.find(&me.client).await?;
        if let Some(after) = self.after {
            let settings = DisappearingSettings {
                from_ns: i64::try_from(SystemClock.now_ns())?,
                in_ns: i64::try_from(after.as_nanos())?,
            };
            conversation.set_disappearing(Some(settings)).await?;
        } else if self.off {
            conversation.set_disappearing(None).await?;
        }
        let settings = conversation.disappearing();
        out.result(object! {
            "conversationId" => conversation.id().to_string(),
            "enabled" => settings.is_some(),
            "fromNs" => settings.map(|settings| Value::wide(settings.from_ns)),
            "inNs" => settings.map(|settings| Value::wide(settings.in_ns)),
        })?;
        Ok(())
    }
}

/// A span of time: a number and a unit.
fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "a number and s, m, h or d, such as 12h".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(seconds);
    // A hundred years: nanoseconds still fit.
    let most = 100 * 365 * 24 * 60 * 60;
    match seconds.filter(|seconds| (1..=most).contains(seconds)) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err("from a second to a hundred years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in [
            "",
            "7",
            "0s",
            "-1h",
            "1w",
            "1é",
            "99999999999999999999d",
            "9999999999d",
        ] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
