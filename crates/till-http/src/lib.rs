//! till-http
