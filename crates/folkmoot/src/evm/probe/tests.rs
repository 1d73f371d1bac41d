use super::super::erc6492;
use super::*;

const WALLET: [u8; 20] = [0xaa; 20];
const FACTORY: [u8; 20] = [0xbb; 20];
const HASH: [u8; 32] = [0x11; 32];

type Word = [u8; 32];

fn word(number: usize) -> Word {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&(number as u64).to_be_bytes());
    word
}

fn place(word: Word) -> usize {
    assert!(word[..28].iter().all(|byte| *byte == 0), "out of memory");
    u32::from_be_bytes(word[28..].try_into().unwrap()) as usize
}

fn yes() -> Vec<u8> {
    let mut word = [0; 32];
    word[..4].copy_from_slice(&[0x16, 0x26, 0xba, 0x7e]);
    word.to_vec()
}

/// A chain with one wallet and its factory, and the few instructions that programs use.
struct Chain {
    /// Whether the wallet has code.
    deployed: bool,
    /// What the wallet returns before and after its factory was called; `None` reverts.
    answers: [Option<Vec<u8>>; 2],
    /// Whether a call to the factory comes back.
    factory_works: bool,
    /// Whether it leaves code at the wallet's address.
    factory_deploys: bool,
    /// What was called: the address and the data.
    calls: Vec<([u8; 20], Vec<u8>)>,
}

impl Chain {
    fn with_wallet(answer: Option<Vec<u8>>) -> Self {
        Self {
            deployed: true,
            answers: [answer.clone(), answer],
            factory_works: true,
            factory_deploys: true,
            calls: Vec::new(),
        }
    }

    fn without_wallet(later: Option<Vec<u8>>) -> Self {
        Self {
            deployed: false,
            ..Self::with_wallet(later)
        }
    }

    fn ask(&mut self, signature: &[u8]) -> Answer {
        let signature = erc6492::unwrap(signature).unwrap();
        let program = program(&WALLET, &HASH, &signature).unwrap();
        Answer::from_bytes(&self.run(&program)).unwrap()
    }

    /// Calls that changed the chain are those to the factory.
    fn prepared(&self) -> bool {
        self.calls.iter().any(|(address, _)| *address == FACTORY)
    }

    fn call(&mut self, address: [u8; 20], data: &[u8]) -> Option<Vec<u8>> {
        let prepared = self.prepared();
        self.calls.push((address, data.to_vec()));
        if address == FACTORY {
            self.deployed |= self.factory_works && self.factory_deploys;
            return self.factory_works.then(Vec::new);
        }
        assert_eq!(address, WALLET);
        if self.deployed {
            self.answers[usize::from(prepared)].clone()
        } else {
            Some(Vec::new())
        }
    }

    fn run(&mut self, code: &[u8]) -> Vec<u8> {
        let mut stack: Vec<Word> = Vec::new();
        let mut memory = vec![0; 200_000];
        let mut returned = Vec::new();
        let mut at = 0;
        loop {
            let instruction = code[at];
            at += 1;
            let mut pop = || stack.pop().unwrap();
            match instruction {
                GT => {
                    let result = pop() > pop();
                    stack.push(word(result.into()));
                }
                EQ => {
                    let result = pop() == pop();
                    stack.push(word(result.into()));
                }
                ISZERO => {
                    let result = pop() == word(0);
                    stack.push(word(result.into()));
                }
                AND => {
                    let (a, b) = (pop(), pop());
                    stack.push(std::array::from_fn(|index| a[index] & b[index]));
                }
                CODECOPY => {
                    let (to, from, length) = (place(pop()), place(pop()), place(pop()));
                    memory[to..to + length].copy_from_slice(&code[from..from + length]);
                }
                EXTCODESIZE => {
                    assert_eq!(pop()[12..], WALLET);
                    let size = if self.deployed { 77 } else { 0 };
                    stack.push(word(size));
                }
                RETURNDATASIZE => stack.push(word(returned.len())),
                MLOAD => {
                    let from = place(pop());
                    stack.push(memory[from..from + 32].try_into().unwrap());
                }
                MSTORE8 => {
                    let (to, value) = (place(pop()), pop());
                    memory[to] = value[31];
                }
                JUMP | JUMPI => {
                    let to = place(pop());
                    if instruction == JUMP || pop() != word(0) {
                        assert_eq!(code[to], JUMPDEST, "a jump to {to}");
                        at = to;
                    }
                }
                GAS => stack.push(word(30_000_000)),
                JUMPDEST => {}
                PUSH1..0x80 => {
                    let count = usize::from(instruction - PUSH1) + 1;
                    let mut value = [0; 32];
                    value[32 - count..].copy_from_slice(&code[at..at + count]);
                    stack.push(value);
                    at += count;
                }
                CALL | STATICCALL => {
                    let (_gas, address) = (pop(), pop());
                    if instruction == CALL {
                        assert_eq!(pop(), word(0), "no money is sent");
                    }
                    let (from, length) = (place(pop()), place(pop()));
                    let (to, room) = (place(pop()), place(pop()));
                    let data = memory[from..from + length].to_vec();
                    let address: [u8; 20] = address[12..].try_into().unwrap();
                    assert!(instruction == STATICCALL || address == FACTORY);
                    let result = self.call(address, &data);
                    stack.push(word(result.is_some().into()));
                    returned = result.unwrap_or_default();
                    let copied = room.min(returned.len());
                    memory[to..to + copied].copy_from_slice(&returned[..copied]);
                }
                RETURN => {
                    let (from, length) = (place(pop()), place(pop()));
                    assert!(stack.is_empty(), "words are left on the stack");
                    return memory[from..from + length].to_vec();
                }
                other => panic!("instruction {other:#04x} at {}", at - 1),
            }
        }
    }
}

fn wrapped() -> Vec<u8> {
    erc6492::tests::wrap(FACTORY, b"deploy it", &[5; 65])
}

#[test]
fn a_deployed_wallet_is_asked_and_nothing_else_is_called() {
    let mut chain = Chain::with_wallet(Some(yes()));
    assert_eq!(chain.ask(&[5; 65]), Answer::Valid);
    let [(address, data)] = &chain.calls[..] else {
        panic!("{} calls", chain.calls.len());
    };
    assert_eq!(*address, WALLET);
    // Selector, hash, offset 64, length 65, the signature in three words.
    assert_eq!(data.len(), 4 + 3 * 32 + 96);
    assert_eq!(data[..4], [0x16, 0x26, 0xba, 0x7e]);
    assert_eq!(data[4..36], HASH);
    assert_eq!(data[36..68], word(64));
    assert_eq!(data[68..100], word(65));
    assert_eq!(data[100..165], [5; 65]);
    assert_eq!(data[165..], [0; 31]);
}

#[test]
fn every_answer_but_the_selector_is_a_no() {
    let mut other_word = yes();
    other_word[0] = 0x17;
    let mut dirty = yes();
    dirty[31] = 1;
    let short = yes()[..31].to_vec();
    for answer in [
        None,
        Some(vec![]),
        Some(short),
        Some(other_word),
        Some(dirty),
    ] {
        let mut chain = Chain::with_wallet(answer.clone());
        assert_eq!(chain.ask(&[5; 65]), Answer::Invalid, "{answer:?}");
    }
}

#[test]
fn bytes_after_the_answer_do_not_matter() {
    let mut chain = Chain::with_wallet(Some([yes(), vec![9; 500]].concat()));
    assert_eq!(chain.ask(b""), Answer::Valid);
}

#[test]
fn an_address_without_code_is_no_contract() {
    let mut chain = Chain::without_wallet(Some(yes()));
    assert_eq!(chain.ask(&[5; 65]), Answer::NoContract);
    assert!(chain.calls.is_empty());
}

#[test]
fn a_wallet_that_does_not_exist_is_brought_about_first() {
    let mut chain = Chain::without_wallet(Some(yes()));
    assert_eq!(chain.ask(&wrapped()), Answer::Valid);
    assert_eq!(chain.calls.len(), 2);
    assert_eq!(chain.calls[0], (FACTORY, b"deploy it".to_vec()));
    assert_eq!(chain.calls[1].1[100..165], [5; 65]);

    let mut chain = Chain::without_wallet(None);
    assert_eq!(chain.ask(&wrapped()), Answer::Invalid);
}

#[test]
fn a_factory_that_fails_or_makes_nothing_is_a_no() {
    for works in [true, false] {
        let mut chain = Chain {
            factory_works: works,
            factory_deploys: false,
            ..Chain::without_wallet(Some(yes()))
        };
        assert_eq!(chain.ask(&wrapped()), Answer::Invalid);
    }
}

#[test]
fn a_deployed_wallet_is_prepared_only_after_it_said_no() {
    let mut chain = Chain::with_wallet(Some(yes()));
    assert_eq!(chain.ask(&wrapped()), Answer::Valid);
    assert!(!chain.prepared());

    let mut chain = Chain {
        answers: [None, Some(yes())],
        ..Chain::with_wallet(None)
    };
    assert_eq!(chain.ask(&wrapped()), Answer::Valid);
    assert!(chain.prepared());
    assert_eq!(chain.calls.len(), 3);

    let mut chain = Chain::with_wallet(None);
    assert_eq!(chain.ask(&wrapped()), Answer::Invalid);
    assert_eq!(chain.calls.len(), 3);
}

/// The second answer must not be read from what the first left in memory.
#[test]
fn an_old_answer_is_not_read_again() {
    let mut chain = Chain {
        // The word is right, the length is not.
        answers: [Some(yes()[..31].to_vec()), Some(vec![])],
        ..Chain::with_wallet(None)
    };
    assert_eq!(chain.ask(&wrapped()), Answer::Invalid);
}

#[test]
fn long_signatures_fit_until_the_limit_of_the_chain() {
    let mut chain = Chain::with_wallet(Some(yes()));
    assert_eq!(chain.ask(&vec![5; 48_000]), Answer::Valid);
    let long = vec![5; MAX_INIT_CODE];
    let unwrapped = erc6492::unwrap(&long).unwrap();
    assert_eq!(program(&WALLET, &HASH, &unwrapped), None);
}
