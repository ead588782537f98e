//! What the load test of verification puts beside keyledger, the keys for all of them, and the load.

pub(crate) mod bare;
pub(crate) mod keys;
pub(crate) mod load;
pub(crate) mod select;
