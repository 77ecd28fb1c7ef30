//! till-runtime
