//! What goes on paper: documents, their texts, their layout as a 1-bit raster and the bytes a printer reads.
//!
//! Pure: no file, no socket, no clock, no font of the system. The same document gives the same pixels on
//! every machine, so a print job can keep its document and be rendered years later.
//!
//! Start reading at [`document`] (what is frozen in a print job), then [`sale_receipt`] (how a sale becomes
//! one), [`layout`] (how it becomes pixels) and [`encode`] (how pixels become bytes of a printer).

#![deny(missing_docs)]

pub mod bitmap;
pub mod cash_slip;
pub mod codes;
pub mod document;
pub mod encode;
pub mod format;
pub mod layout;
pub mod profile;
pub mod sale_receipt;
pub mod period_report;
pub mod shift_report;
pub mod test_page;
pub mod texts;

pub use bitmap::Bitmap;
pub use cash_slip::CashSlip;
pub use document::{Block, Document};
pub use domain::catalog::Language;
pub use layout::{RENDERER_VERSION, Renderer};
pub use period_report::PeriodReport;
pub use profile::{Profile, Profiles};
pub use sale_receipt::SaleReceipt;
pub use shift_report::ShiftReport;
pub use test_page::TestPage;
