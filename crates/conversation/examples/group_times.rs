//! Prints how long the operations of a group take, and what they write, for 2, 100 and 250
//! members: `cargo run --release -p folkmoot-conversation --example group_times`.

use std::{
    collections::BTreeMap,
    hint::black_box,
    io::Write as _,
    time::{Duration, Instant, SystemTime},
};

use folkmoot_conversation::{
    CommitPlan, ContextExtensions, Group, Incoming, Installation, KeyPackageIn, KeyPackageSecrets,
    NewKeyPackage, Opened, PreparedWelcome, StagedJoin,
};
use folkmoot_identity::InstallationSecret;
use folkmoot_wire::{
    GroupId, InboxId,
    proto::xmtp::mls::api::v1::{
        WelcomeMessage, WelcomeMessageInput, welcome_message, welcome_message_input,
    },
};
use rand::{SeedableRng as _, rngs::StdRng};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const MESSAGES: u32 = 1000;

fn main() -> Outcome<()> {
    for members in [2, 100, 250] {
        measure(members)?;
    }
    Ok(())
}

fn measure(members: u32) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    let mut entropy = StdRng::from_seed([1; 32]);
    let now = SystemTime::now();
    let id = GroupId::try_from(vec![7; 16])?;
    writeln!(out, "{members} members")?;
    let mut print = |what: &str, took: Duration, note: String| {
        let milliseconds = took.as_secs_f64() * 1000.0;
        writeln!(out, "  {what:<36} {milliseconds:>9.3} ms  {note}")
    };

    let me = installation(0);
    let (took, group) = timed(|| Group::create(&me, &id, &context(members), now, &mut entropy));
    let mut group = group?;
    print("create", took, String::new())?;

    let (took, made) = timed(|| {
        (1..members)
            .map(|n| NewKeyPackage::make(&installation(n), now, &mut entropy))
            .collect::<Vec<_>>()
    });
    print(
        "make a key package",
        took / made.len() as u32,
        String::new(),
    )?;
    let (took, adds) = timed(|| {
        made.iter()
            .map(|made| KeyPackageIn::decode(&made.bytes)?.verify(now))
            .collect::<Result<Vec<_>, _>>()
    });
    print(
        "verify a key package",
        took / made.len() as u32,
        String::new(),
    )?;

    let plan = CommitPlan {
        adds: adds?,
        ..CommitPlan::default()
    };
    let (took, commit) = timed(|| group.commit(&me, plan, &mut entropy));
    let commit = commit?;
    let bytes = commit.message.len();
    print(
        "add all in one commit",
        took,
        format!("{bytes} bytes, kept {}", commit.staged.len()),
    )?;
    let (took, merged) = timed(|| group.merge_own(&commit.staged));
    merged?;
    print("merge it", took, String::new())?;

    let welcome = commit.welcome.ok_or("somebody is added")?;
    let (took, sealed) = timed(|| welcome.seal(1, &mut entropy));
    print(
        "wrap the welcomes",
        took,
        format!("{} envelopes", sealed.len()),
    )?;
    let (took, joined) = timed(|| join(&welcome, &sealed, &made[0].secrets));
    let mut other = joined?;
    print("open and join", took, String::new())?;

    let mut table = BTreeMap::new();
    let bytes = write(&mut other, &mut table);
    print(
        "store",
        Duration::ZERO,
        format!("{bytes} bytes in {} rows", table.len()),
    )?;

    for _ in 0..4 {
        let update = group.commit(&me, CommitPlan::default(), &mut entropy)?;
        group.merge_own(&update.staged)?;
        let (took, result) = timed(|| -> Outcome<usize> {
            let Incoming::Commit(commit) = other.process(&update.message)? else {
                return Err("a commit".into());
            };
            other.merge(*commit)?;
            Ok(write(&mut other, &mut table))
        });
        let (bytes, written) = (update.message.len(), result?);
        print(
            "process, merge, store a key update",
            took,
            format!("{bytes} bytes, writes {written}"),
        )?;
    }

    let (took, messages) = timed(|| -> Outcome<Vec<_>> {
        (0..MESSAGES)
            .map(|_| {
                let message = group.seal(&me, &[0x61; 100], &mut entropy)?;
                black_box(group.take_changes());
                Ok(message)
            })
            .collect()
    });
    let messages = messages?;
    print("seal and store a message", took / MESSAGES, String::new())?;
    let (took, written) = timed(|| -> Outcome<usize> {
        let mut written = 0;
        for message in &messages {
            black_box(other.process(message)?);
            written += write(&mut other, &mut table);
        }
        Ok(written)
    });
    let each = written? / MESSAGES as usize;
    print(
        "read and store a message",
        took / MESSAGES,
        format!("writes {each} bytes"),
    )?;

    let update = group.commit(&me, CommitPlan::default(), &mut entropy);
    black_box(update?);
    let rows: Vec<_> = table.into_iter().collect();
    let (took, loaded) = timed(|| Group::load(&id, rows));
    black_box(loaded?);
    print("load", took, String::new())?;
    Ok(())
}

fn installation(number: u32) -> Installation {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Installation::new(
        InboxId::from_bytes(bytes),
        InstallationSecret::from_seed(&bytes),
    )
}

/// Extensions as large as those of a group with so many members.
fn context(members: u32) -> ContextExtensions {
    let required = b"\x0c\xff\x01\xff\x00\xff\x02\xf0\x00\x00\x0a\x00\x01\x02\x00\x07\x02\x00\x01";
    ContextExtensions(
        [
            (0x0003, required.to_vec()),
            (0xf000, vec![0; 70]),
            (0xff00, vec![0; 300]),
            (0xff01, vec![0; members as usize * 71]),
            (0xff02, vec![0; 212]),
        ]
        .map(|(number, data)| (number, data.into()))
        .into(),
    )
}

fn join(
    welcome: &PreparedWelcome,
    sealed: &[WelcomeMessageInput],
    secrets: &KeyPackageSecrets,
) -> Outcome<Group> {
    let at = sealed.len() - welcome.invitations().len();
    let opened = match Opened::open(&delivered(&sealed[at]), secrets)? {
        Opened::Welcome(opened) => opened,
        Opened::Pointer(pointer) => pointer.open(&delivered(&sealed[0]))?,
    };
    Ok(StagedJoin::stage(&opened, secrets)?.finish()?)
}

fn delivered(input: &WelcomeMessageInput) -> WelcomeMessage {
    use welcome_message_input::Version;
    let version = input.version.clone().map(|version| match version {
        Version::V1(input) => welcome_message::Version::V1(welcome_message::V1 {
            data: input.data,
            wrapper_algorithm: input.wrapper_algorithm,
            welcome_metadata: input.welcome_metadata,
            ..Default::default()
        }),
        Version::WelcomePointer(input) => {
            welcome_message::Version::WelcomePointer(welcome_message::WelcomePointer {
                welcome_pointer: input.welcome_pointer,
                wrapper_algorithm: input.wrapper_algorithm,
                ..Default::default()
            })
        }
    });
    WelcomeMessage { version }
}

/// Writes as into a database; returns how many bytes.
fn write(group: &mut Group, table: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> usize {
    let mut bytes = 0;
    for change in group.take_changes() {
        bytes += change.key.len();
        match change.value {
            Some(value) => {
                bytes += value.len();
                table.insert(change.key, value.to_vec());
            }
            None => drop(table.remove(&change.key)),
        }
    }
    bytes
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let result = work();
    (begin.elapsed(), result)
}
