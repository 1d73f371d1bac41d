//! The program that asks a wallet on the chain, assembled anew for each question.
//!
//! An `eth_call` without an address runs its data as the code of a new contract and returns
//! what that code returns, while the chain stays as it is. Ours asks the wallet for its
//! verdict (ERC-1271) and, where the signature brings a preparation along (ERC-6492), calls
//! the factory first and asks again. It ends with one byte: [`Answer`].
//!
//! The order is that of ERC-6492, "Verifier side": a deployed wallet is asked as it is, and
//! prepared only when it says no; one that does not exist is prepared at once. Instructions are
//! limited to those that every EVM chain has had since the Constantinople upgrade.

use super::erc6492::{Preparation, Unwrapped};

/// What the program says about a signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// The wallet does not call the signature its own.
    Invalid,
    /// The wallet calls the signature its own.
    Valid,
    /// There is no contract, and no way to bring one about.
    NoContract,
}

impl Answer {
    /// Reads what the program returned.
    pub(super) const fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0] => Some(Self::Invalid),
            [1] => Some(Self::Valid),
            [2] => Some(Self::NoContract),
            _ => None,
        }
    }
}

/// Makes the program that asks `wallet` whether `signature` over `hash` is its own, or
/// `None` when it would be longer than chains allow ([`MAX_INIT_CODE`]).
pub(super) fn program(
    wallet: &[u8; 20],
    hash: &[u8; 32],
    signature: &Unwrapped<'_>,
) -> Option<Vec<u8>> {
    let question = question(hash, signature.signature);
    let preparation = signature.preparation;
    let calldata = preparation.map_or(&[][..], |preparation| preparation.calldata);
    if question.len() + calldata.len() > MAX_INIT_CODE {
        return None;
    }
    let mut code = Code::default();
    let memory = Memory {
        question: question.len(),
        answer: question.len(),
        calldata: question.len() + 32,
    };

    code.copy(Label::Question, question.len(), 0);
    code.push(wallet).op(EXTCODESIZE).jump_if(Label::Deployed);
    code.jump(match preparation {
        Some(_) => Label::Prepare,
        None => Label::NoContract,
    });
    code.label(Label::Deployed);
    code.ask(wallet, &memory).jump_if(Label::Valid);
    if let Some(Preparation { factory, calldata }) = &preparation {
        code.label(Label::Prepare);
        code.copy(Label::Calldata, calldata.len(), memory.calldata);
        code.number(0).number(0);
        code.number(calldata.len()).number(memory.calldata);
        code.number(0).push(factory).op(GAS).op(CALL);
        code.op(ISZERO).jump_if(Label::Invalid);
        code.ask(wallet, &memory).jump_if(Label::Valid);
    }
    code.label(Label::Invalid).end(Answer::Invalid);
    code.label(Label::Valid).end(Answer::Valid);
    code.label(Label::NoContract).end(Answer::NoContract);
    code.data(Label::Question, &question);
    code.data(Label::Calldata, calldata);

    let code = code.assemble();
    (code.len() <= MAX_INIT_CODE).then_some(code)
}

/// The call `isValidSignature(bytes32 hash, bytes signature)`, ABI-encoded.
fn question(hash: &[u8; 32], signature: &[u8]) -> Vec<u8> {
    let mut call = IS_VALID_SIGNATURE.to_vec();
    call.extend_from_slice(hash);
    for number in [64, signature.len()] {
        call.extend_from_slice(&[0; 24]);
        call.extend_from_slice(&(number as u64).to_be_bytes());
    }
    call.extend_from_slice(signature);
    call.resize(4 + (call.len() - 4).next_multiple_of(32), 0);
    call
}

/// Where things are in the program's memory, in bytes.
struct Memory {
    /// Length of the question, which stands at 0.
    question: usize,
    /// The wallet's answer, a word.
    answer: usize,
    /// The factory's calldata.
    calldata: usize,
}

/// A place in the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Label {
    Deployed,
    Prepare,
    Invalid,
    Valid,
    NoContract,
    Question,
    Calldata,
}

/// Code that is being written. References to labels take two bytes and are filled in last.
#[derive(Debug, Default)]
struct Code {
    bytes: Vec<u8>,
    places: Vec<(Label, usize)>,
    references: Vec<(Label, usize)>,
}

impl Code {
    fn op(&mut self, instruction: u8) -> &mut Self {
        self.bytes.push(instruction);
        self
    }

    /// Pushes 1 to 32 bytes as one word.
    fn push(&mut self, bytes: &[u8]) -> &mut Self {
        debug_assert!((1..=32).contains(&bytes.len()));
        self.op(PUSH1 + (bytes.len() - 1) as u8);
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn number(&mut self, number: usize) -> &mut Self {
        self.push(&(number as u32).to_be_bytes())
    }

    fn reference(&mut self, label: Label) -> &mut Self {
        self.op(PUSH1 + 1);
        self.references.push((label, self.bytes.len()));
        self.bytes.extend_from_slice(&[0; 2]);
        self
    }

    fn jump(&mut self, to: Label) -> &mut Self {
        self.reference(to).op(JUMP)
    }

    /// Jumps if the topmost word is not 0, and takes it away.
    fn jump_if(&mut self, to: Label) -> &mut Self {
        self.reference(to).op(JUMPI)
    }

    fn label(&mut self, label: Label) -> &mut Self {
        self.places.push((label, self.bytes.len()));
        self.op(JUMPDEST)
    }

    /// Bytes that are not run.
    fn data(&mut self, label: Label, data: &[u8]) -> &mut Self {
        self.places.push((label, self.bytes.len()));
        self.bytes.extend_from_slice(data);
        self
    }

    /// Copies `length` bytes of data to the place `to` in memory.
    fn copy(&mut self, from: Label, length: usize, to: usize) -> &mut Self {
        self.number(length).reference(from).number(to).op(CODECOPY)
    }

    /// Asks the wallet, and leaves 1 if it answers yes: the call comes back, with a word at
    /// least, and the word is the selector with zeros behind it. What a contract returns
    /// beyond the first word is not looked at.
    fn ask(&mut self, wallet: &[u8; 20], memory: &Memory) -> &mut Self {
        self.number(32).number(memory.answer);
        self.number(memory.question).number(0);
        self.push(wallet).op(GAS).op(STATICCALL);
        self.number(31).op(RETURNDATASIZE).op(GT).op(AND);
        let mut yes = [0; 32];
        yes[..4].copy_from_slice(&IS_VALID_SIGNATURE);
        self.number(memory.answer)
            .op(MLOAD)
            .push(&yes)
            .op(EQ)
            .op(AND)
    }

    fn end(&mut self, answer: Answer) -> &mut Self {
        self.number(answer as usize).number(0).op(MSTORE8);
        self.number(1).number(0).op(RETURN)
    }

    fn assemble(self) -> Vec<u8> {
        let mut bytes = self.bytes;
        for (label, at) in self.references {
            let place = self
                .places
                .iter()
                .find(|(placed, _)| *placed == label)
                .map_or(0, |(_, place)| *place);
            // Longer programs are refused by their length before anybody runs them.
            bytes[at..at + 2].copy_from_slice(&(place as u16).to_be_bytes());
        }
        bytes
    }
}

/// The longest program, in bytes, that chains run as the code of a new contract (EIP-3860).
pub(super) const MAX_INIT_CODE: usize = 49_152;

/// The selector of `isValidSignature(bytes32,bytes)`, which is also the word for "yes".
const IS_VALID_SIGNATURE: [u8; 4] = [0x16, 0x26, 0xba, 0x7e];

const GT: u8 = 0x11;
const EQ: u8 = 0x14;
const ISZERO: u8 = 0x15;
const AND: u8 = 0x16;
const CODECOPY: u8 = 0x39;
const EXTCODESIZE: u8 = 0x3b;
const RETURNDATASIZE: u8 = 0x3d;
const MLOAD: u8 = 0x51;
const MSTORE8: u8 = 0x53;
const JUMP: u8 = 0x56;
const JUMPI: u8 = 0x57;
const GAS: u8 = 0x5a;
const JUMPDEST: u8 = 0x5b;
const PUSH1: u8 = 0x60;
const CALL: u8 = 0xf1;
const RETURN: u8 = 0xf3;
const STATICCALL: u8 = 0xfa;

#[cfg(test)]
mod tests;
