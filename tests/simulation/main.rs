//! Small worlds searched whole: what no sequence of faults may do.

mod model;
