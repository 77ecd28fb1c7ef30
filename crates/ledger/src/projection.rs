//! Projections: what each fact changes.
