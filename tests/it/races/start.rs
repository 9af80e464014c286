//! Processes start at once.
use crate::support::Case;
pub const CASES: &[Case] = &[];
