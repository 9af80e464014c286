pub const CASES: &[crate::support::Case] = &[];
