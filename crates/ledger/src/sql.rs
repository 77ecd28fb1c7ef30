//! Values in and out of columns.
