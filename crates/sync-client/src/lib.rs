//! sync-client
