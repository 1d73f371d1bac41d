//! Every backend does what the store in memory does, whatever is asked of all.

use folkmoot_store::{After, Draft, Order, Page};
use folkmoot_wire::VectorClock;
use proptest::prelude::*;

use crate::backend::{Backend, commits, group, says};

#[derive(Clone, Debug)]
enum Step {
    Append {
        group: usize,
        commit: bool,
        fingerprint: Option<u8>,
    },
    Page {
        group: usize,
        bound: usize,
        newest_first: bool,
        page: usize,
    },
    Merged {
        after: usize,
        clock: Option<(usize, usize)>,
        page: usize,
    },
    Unseen {
        clock: (usize, usize),
        page: usize,
        by_topic: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..40_usize;
    prop_oneof![
        3 => (0..4_usize, any::<bool>(), proptest::option::of(0..6_u8))
            .prop_map(|(group, commit, fingerprint)| Step::Append { group, commit, fingerprint }),
        1 => (0..4_usize, at.clone(), any::<bool>(), 1..9_usize)
            .prop_map(|(group, bound, newest_first, page)| Step::Page { group, bound, newest_first, page }),
        1 => (at.clone(), proptest::option::of((at.clone(), at.clone())), 1..9_usize)
            .prop_map(|(after, clock, page)| Step::Merged { after, clock, page }),
        1 => ((at.clone(), at), 1..9_usize, any::<bool>())
            .prop_map(|(clock, page, by_topic)| Step::Unseen { clock, page, by_topic }),
    ]
}

/// The id that the `number`th append gets.
fn id(number: usize) -> u64 {
    if number == 0 {
        0
    } else {
        (number as u64) << 12 | 1
    }
}

async fn all_agree(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut backends = vec![Backend::memory(), Backend::sqlite()];
    #[cfg(feature = "postgres")]
    backends.extend(Backend::postgres().await);
    let groups: Vec<_> = (0..4)
        .map(|number| group(&format!("group {number}")))
        .collect();
    let clock = |(commits, texts): (usize, usize)| {
        VectorClock::from_iter([(0, id(commits)), (100, id(texts))])
    };
    for (number, step) in steps.into_iter().enumerate() {
        let mut answers = Vec::new();
        for store in backends.iter().map(|backend| &backend.store) {
            let answer = match step.clone() {
                Step::Append {
                    group,
                    commit,
                    fingerprint,
                } => {
                    let text = number.to_string();
                    let draft = if commit {
                        commits(&groups[group], &text)
                    } else {
                        says(&groups[group], &text)
                    };
                    let fingerprint = fingerprint.map(|byte| [byte; 16]);
                    let placed = store
                        .append(vec![Draft {
                            fingerprint,
                            ..draft
                        }])
                        .await
                        .unwrap();
                    answers.push((vec![], Some((placed[0].id, placed[0].duplicate))));
                    continue;
                }
                Step::Page {
                    group,
                    bound,
                    newest_first,
                    page,
                } => {
                    let order = if newest_first {
                        Order::Descending
                    } else {
                        Order::Ascending
                    };
                    store
                        .page(&groups[group], id(bound), order, rows(page))
                        .await
                }
                Step::Merged {
                    after,
                    clock: seen,
                    page,
                } => {
                    let cursor =
                        seen.map_or_else(|| After::Id(id(after)), |seen| After::Clock(clock(seen)));
                    let cursors: Vec<_> = groups
                        .iter()
                        .map(|one| (one.clone(), cursor.clone()))
                        .collect();
                    store.merged(&cursors, 0, u64::MAX, rows(page)).await
                }
                Step::Unseen {
                    clock: seen,
                    page,
                    by_topic: true,
                } => {
                    store
                        .unseen_by_topic(&groups, &clock(seen), rows(page))
                        .await
                }
                Step::Unseen {
                    clock: seen, page, ..
                } => {
                    store
                        .unseen_by_originator(&[0, 100], &clock(seen), rows(page))
                        .await
                }
            };
            let envelopes = answer.unwrap().into_iter();
            let envelopes = envelopes.map(|one| (one.id, one.payload, one.previous_commit));
            answers.push((envelopes.collect(), None));
        }
        for answer in &answers[1..] {
            prop_assert_eq!(&answers[0], answer);
        }
    }
    Ok(())
}

fn rows(envelopes: usize) -> Page {
    Page {
        envelopes,
        bytes: usize::MAX,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn every_backend_agrees_with_the_store_in_memory(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(all_agree(steps))?;
    }
}
