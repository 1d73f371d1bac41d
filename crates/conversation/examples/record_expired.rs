//! Writes `tests/vectors/expired.json`: a group and a commit that adds a key package whose
//! lifetime ends seconds later. From then on the commit is what it is for good.
//!
//! `cargo run -p folkmoot-conversation --example record_expired > \
//! crates/conversation/tests/vectors/expired.json`

use std::{
    io::Write as _,
    time::{Duration, SystemTime},
};

use folkmoot_conversation::{
    CommitPlan, ContextExtensions, Group, Installation, KeyPackageIn, NewKeyPackage, Opened,
    StagedJoin,
};
use folkmoot_identity::InstallationSecret;
use folkmoot_wire::{
    GroupId, InboxId,
    proto::xmtp::mls::api::v1::{WelcomeMessage, welcome_message, welcome_message_input},
};
use rand::{SeedableRng as _, rngs::StdRng};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut entropy = StdRng::from_seed([42; 32]);
    let [alice, bob, carol] = [1, 2, 3].map(|number| {
        let secret = InstallationSecret::from_seed(&[number; 32]);
        Installation::new(InboxId::from_bytes([number; 32]), secret)
    });
    let now = SystemTime::now();
    let id = GroupId::try_from(vec![0x47; 16])?;
    let context = [
        (3, hex::decode("0cff01ff00ff02f000000a0001020007020001")?),
        (0xf000, vec![2, 8, 1]),
        (0xff00, vec![]),
        (0xff01, vec![]),
        (0xff02, vec![]),
    ];
    let context = ContextExtensions(context.map(|(n, data)| (n, data.into())).into());
    let mut group = Group::create(&alice, &id, &context, now, &mut entropy)?;

    let bobs = NewKeyPackage::make(&bob, now, &mut entropy);
    let plan = CommitPlan {
        adds: vec![KeyPackageIn::decode(&bobs.bytes)?.verify(now)?],
        ..CommitPlan::default()
    };
    let commit = group.commit(&alice, plan, &mut entropy)?;
    group.merge_own(&commit.staged)?;
    let welcome = commit
        .welcome
        .ok_or("bob is invited")?
        .seal(1, &mut entropy);
    let Some(welcome_message_input::Version::V1(sealed)) = welcome[0].version.clone() else {
        return Err("one recipient gets no pointer".into());
    };
    let delivered = WelcomeMessage {
        version: Some(welcome_message::Version::V1(welcome_message::V1 {
            data: sealed.data,
            wrapper_algorithm: sealed.wrapper_algorithm,
            welcome_metadata: sealed.welcome_metadata,
            ..Default::default()
        })),
    };
    let Opened::Welcome(opened) = Opened::open(&delivered, &bobs.secrets)? else {
        return Err("one recipient gets no pointer".into());
    };
    let mut bobs_group = StagedJoin::stage(&opened, &bobs.secrets)?.finish()?;

    let nearly_over = now - Duration::from_secs(84 * 24 * 60 * 60) + Duration::from_secs(3);
    let carols = NewKeyPackage::make(&carol, nearly_over, &mut entropy);
    let plan = CommitPlan {
        adds: vec![KeyPackageIn::decode(&carols.bytes)?.verify(now)?],
        ..CommitPlan::default()
    };
    let commit = group.commit(&alice, plan, &mut entropy)?;
    let rows: Vec<_> = bobs_group
        .take_changes()
        .into_iter()
        .filter_map(|change| Some((hex::encode(change.key), hex::encode(&*change.value?))))
        .collect();
    let vector = serde_json::json!({
        "group_id": id.to_string(),
        "rows": rows,
        "commit": hex::encode(commit.message),
        "not_after": carols.not_after,
    });
    writeln!(std::io::stdout(), "{vector:#}")?;
    Ok(())
}
