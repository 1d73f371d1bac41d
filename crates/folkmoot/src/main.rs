//! The Folkmoot program.

fn main() {}
