//! A stand-in for KurrentDB.
