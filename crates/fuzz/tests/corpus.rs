//! Runs every seed through its target, as the fuzzer does first of all.

use std::{collections::BTreeSet, fs, path::PathBuf};

use folkmoot_fuzz::{METHODS, TARGETS};
use prost_reflect::DescriptorPool;

/// What the seeds of one target may take together, so that the repository stays small.
const MOST_SEED_BYTES: usize = 24 << 10;

fn fuzz(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz")
        .join(folder)
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz(folder)).expect("a folder of the repository");
    let stem = |path: PathBuf| Some(path.file_stem()?.to_string_lossy().into_owned());
    entries
        .filter_map(|entry| stem(entry.ok()?.path()))
        .collect()
}

#[test]
fn every_seed_is_taken_or_refused_properly() {
    for (name, target) in TARGETS {
        target(b"");
        let mut bytes = 0;
        for seed in fs::read_dir(fuzz("corpus").join(name)).unwrap() {
            let path = seed.unwrap().path();
            eprintln!("{}", path.display());
            let seed = fs::read(path).unwrap();
            target(&seed);
            bytes += seed.len();
        }
        assert!(
            bytes <= MOST_SEED_BYTES,
            "{name} has {bytes} bytes of seeds"
        );
    }
}

#[test]
fn every_cut_of_a_seed_is_taken_or_refused_properly() {
    for (name, target) in TARGETS {
        for seed in fs::read_dir(fuzz("corpus").join(name)).unwrap() {
            let seed = fs::read(seed.unwrap().path()).unwrap();
            let step = (seed.len() / 8).max(1);
            for cut in (0..seed.len()).step_by(step) {
                target(&seed[..cut]);
            }
        }
    }
}

#[test]
fn every_target_has_a_short_program_and_seeds() {
    let known: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), known);
    assert_eq!(names("corpus"), known);
    for name in known {
        let program = fs::read_to_string(fuzz("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(program.lines().count() < 20 && program.contains(&format!("::{name}")));
    }
}

#[test]
fn every_method_is_among_those_that_are_fuzzed() {
    let pool = DescriptorPool::decode(folkmoot_wire::DESCRIPTORS).unwrap();
    let served: BTreeSet<_> = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| format!("{}/{}", method.parent_service().full_name(), method.name()))
        .collect();
    assert_eq!(
        METHODS
            .iter()
            .map(|it| (*it).to_owned())
            .collect::<BTreeSet<_>>(),
        served
    );
    assert!(METHODS.len() < 256, "a byte names a method");
}
