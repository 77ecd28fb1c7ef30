//! From dots to the bytes a printer reads (ESC/POS), by its profile.
//!
//! Bytes of a receipt never contain a drawer kick, and never a sequence that a printer obeys in real time.
//!
//! # Source
//! Epson ESC/POS command reference. Plain commands come from the `escpos` crate; raster is ours, because that
//! crate resizes pictures and sends them in one piece.

use escpos::utils::{
    DLE_REAL_TIME_STATUS, ESC_CASH_DRAWER_2, ESC_CASH_DRAWER_5, ESC_HARDWARE_INIT, ESC_PAPER_FEED,
    ESC_TEXT_LINE_SPACING, ESC_TEXT_RESET_LINE_SPACING, RealTimeStatusRequest,
    RealTimeStatusResponse,
};

use crate::bitmap::Bitmap;
use crate::profile::{BlankRows, CutCommand, DrawerCommand, Profile};

const ESC: u8 = 0x1b;
const GS: u8 = 0x1d;

/// Fewest white rows worth a feed of their own: a feed and a new band header cost eleven bytes.
const BLANK_ROWS_MIN: u32 = 8;

/// The bytes that print `bitmap` on a printer of `profile`, from its reset to the cut.
///
/// A picture wider than the profile's paper loses its right edge; render at [`Profile::width_dots`].
pub fn encode(bitmap: &Bitmap, profile: &Profile) -> Vec<u8> {
    let fitted = fit(bitmap, profile).without_realtime_sequences();
    let raster = &profile.pos.raster;
    let mut bytes = ESC_HARDWARE_INIT.to_vec();
    if raster.line_spacing_zero {
        bytes.extend([ESC_TEXT_LINE_SPACING, &[0]].concat());
    }
    if raster.blank_rows == BlankRows::EscJ {
        let dpi = profile
            .media
            .dpi
            .and_then(|dpi| u8::try_from(dpi).ok())
            .unwrap_or(203);
        bytes.extend([GS, b'P', dpi, dpi]);
    }
    for part in parts(&fitted, raster.blank_rows, raster.band_rows) {
        match part {
            Part::Feed(rows) => push_feed(&mut bytes, rows),
            Part::Band { top, rows } => push_band(&mut bytes, &fitted, top, rows),
        }
    }
    push_cut(&mut bytes, profile);
    bytes
}

/// The bytes that open the cash drawer, none where the model has no port. A job of its own, sent at most once.
pub fn drawer_kick(profile: &Profile) -> Option<Vec<u8>> {
    let drawer = &profile.pos.drawer;
    match drawer.cmd {
        DrawerCommand::None => None,
        DrawerCommand::EscP => {
            let mut bytes = if drawer.pin == 5 {
                ESC_CASH_DRAWER_5.to_vec()
            } else {
                ESC_CASH_DRAWER_2.to_vec()
            };
            // Times are in units of 2 ms.
            bytes.extend(
                [drawer.on_ms, drawer.off_ms].map(|ms| u8::try_from(ms / 2).unwrap_or(u8::MAX)),
            );
            Some(bytes)
        }
    }
}

/// A question about a printer's state, answered by one byte at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusQuestion {
    /// Online or not.
    Printer,
    /// Why it is offline.
    OfflineCause,
    /// Which error.
    ErrorCause,
    /// The paper.
    Paper,
}

impl StatusQuestion {
    /// All questions, in the order they are asked.
    pub const ALL: [StatusQuestion; 4] = [
        StatusQuestion::Printer,
        StatusQuestion::OfflineCause,
        StatusQuestion::ErrorCause,
        StatusQuestion::Paper,
    ];

    const fn request(self) -> RealTimeStatusRequest {
        match self {
            StatusQuestion::Printer => RealTimeStatusRequest::Printer,
            StatusQuestion::OfflineCause => RealTimeStatusRequest::OfflineCause,
            StatusQuestion::ErrorCause => RealTimeStatusRequest::ErrorCause,
            StatusQuestion::Paper => RealTimeStatusRequest::RollPaperSensor,
        }
    }

    /// The bytes that ask it (`DLE EOT n`). They print nothing.
    pub fn bytes(self) -> Vec<u8> {
        let (number, _) = self.request().into();
        [DLE_REAL_TIME_STATUS, &[number]].concat()
    }

    /// What an answer says; none when the byte is no answer to a status question, which a tolerant reader skips.
    pub fn fault(self, answer: u8) -> Option<StatusFault> {
        let flags = RealTimeStatusResponse::parse(self.request(), answer).ok()?;
        let is = |flag| flags.get(&flag).copied().unwrap_or(false);
        use RealTimeStatusResponse as Flag;
        Some(match self {
            StatusQuestion::Printer if !is(Flag::Online) => StatusFault::Offline,
            StatusQuestion::OfflineCause if !is(Flag::CoverClosed) => StatusFault::CoverOpen,
            StatusQuestion::OfflineCause if is(Flag::PrintingStopsDueToPaperEnd) => {
                StatusFault::PaperOut
            }
            StatusQuestion::OfflineCause if is(Flag::ErrorOccurred) => StatusFault::Error,
            StatusQuestion::ErrorCause if is(Flag::AutocutterErrorOccurred) => StatusFault::Cutter,
            StatusQuestion::ErrorCause if is(Flag::UnrecoverableErrorOccurred) => {
                StatusFault::Error
            }
            StatusQuestion::Paper if !is(Flag::RollPaperEndSensorPaperPresent) => {
                StatusFault::PaperOut
            }
            _ => StatusFault::Nothing,
        })
    }
}

/// What keeps a printer from printing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusFault {
    /// Nothing.
    Nothing,
    /// Offline without a cause given.
    Offline,
    /// An error.
    Error,
    /// The cutter is stuck.
    Cutter,
    /// The cover is open.
    CoverOpen,
    /// No paper.
    PaperOut,
}

/// `GS r 1`: answered by one byte once the data before it has been processed.
pub const CONFIRM_GS_R: [u8; 3] = [GS, b'r', 1];

/// A stretch of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// White rows, fed.
    Feed(u32),
    /// Rows sent as one picture.
    Band { top: u32, rows: u32 },
}

fn parts(bitmap: &Bitmap, blank_rows: BlankRows, band_rows: u32) -> Vec<Part> {
    let height = bitmap.height();
    let mut parts = Vec::new();
    let mut y = 0;
    while y < height {
        let blank = (y..height)
            .take_while(|row| bitmap.is_blank_row(*row))
            .count() as u32;
        if blank_rows == BlankRows::EscJ && blank >= BLANK_ROWS_MIN {
            parts.push(Part::Feed(blank));
            y += blank;
            continue;
        }
        let rows = match blank_rows {
            BlankRows::EscJ => rows_to_blank(bitmap, y),
            BlankRows::Raster => height - y,
        };
        let rows = cut_band(bitmap, y, rows, band_rows);
        parts.push(Part::Band { top: y, rows });
        y += rows;
    }
    parts
}

/// Rows from `top` to the next stretch of white that is worth a feed.
fn rows_to_blank(bitmap: &Bitmap, top: u32) -> u32 {
    let mut blank = 0;
    for y in top..bitmap.height() {
        blank = if bitmap.is_blank_row(y) { blank + 1 } else { 0 };
        if blank == BLANK_ROWS_MIN && y + 1 - top > BLANK_ROWS_MIN {
            return y + 1 - BLANK_ROWS_MIN - top;
        }
    }
    bitmap.height() - top
}

/// At most `band_rows` of `rows`, ending in a white row if the second half has one: a seam between bands that
/// a printer leaves visible then falls between lines of text.
fn cut_band(bitmap: &Bitmap, top: u32, rows: u32, band_rows: u32) -> u32 {
    if rows <= band_rows {
        return rows;
    }
    (band_rows / 2..band_rows)
        .rev()
        .find(|row| bitmap.is_blank_row(top + row))
        .map_or(band_rows, |row| row + 1)
}

fn fit(bitmap: &Bitmap, profile: &Profile) -> Bitmap {
    let width = profile.width_dots();
    if bitmap.width() == width {
        return bitmap.clone();
    }
    let mut fitted = Bitmap::new(width);
    fitted.grow(bitmap.height());
    for y in 0..bitmap.height() {
        for x in 0..width.min(bitmap.width()) {
            if bitmap.is_black(x, y) {
                fitted.set(x as i32, y as i32);
            }
        }
    }
    fitted
}

fn push_feed(bytes: &mut Vec<u8>, rows: u32) {
    let mut left = rows;
    while left > 0 {
        let step = left.min(255);
        bytes.extend([ESC, b'J', step as u8]);
        left -= step;
    }
}

fn push_band(bytes: &mut Vec<u8>, bitmap: &Bitmap, top: u32, rows: u32) {
    let [xl, xh] = (bitmap.stride() as u16).to_le_bytes();
    let [yl, yh] = (rows as u16).to_le_bytes();
    bytes.extend([GS, b'v', b'0', 0, xl, xh, yl, yh]);
    let stride = bitmap.stride();
    bytes.extend(&bitmap.rows()[top as usize * stride..(top + rows) as usize * stride]);
}

fn push_cut(bytes: &mut Vec<u8>, profile: &Profile) {
    let cut = &profile.pos.cut;
    if cut.feed_lines > 0 {
        bytes.extend(ESC_TEXT_RESET_LINE_SPACING);
        bytes.extend([ESC_PAPER_FEED, &[cut.feed_lines]].concat());
    }
    match cut.cmd {
        CutCommand::None => {}
        CutCommand::GsV0 => bytes.extend([GS, b'V', 0]),
        CutCommand::GsV1 => bytes.extend([GS, b'V', 1]),
        CutCommand::GsV65 => bytes.extend([GS, b'V', 65, cut.feed]),
        CutCommand::GsV66 => bytes.extend([GS, b'V', 66, cut.feed]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profiles;

    fn profile(id: &str) -> Profile {
        Profiles::built_in().get(id).expect("built in").clone()
    }

    fn black_rows(width: u32, height: u32, black: &[u32]) -> Bitmap {
        let mut bitmap = Bitmap::new(width);
        bitmap.grow(height);
        for y in black {
            bitmap.fill(0, *y as i32, width as i32, 1);
        }
        bitmap
    }

    #[test]
    fn a_wide_job_is_reset_unit_bands_feeds_and_cut() {
        let bytes = encode(&black_rows(576, 41, &[0, 40]), &profile("generic-80"));
        let band = [vec![0x1d, b'v', b'0', 0, 72, 0, 1, 0], vec![0xff; 72]].concat();
        let expected = [
            &[0x1b, b'@', 0x1b, b'3', 0, 0x1d, b'P', 203, 203][..],
            &band,
            &[0x1b, b'J', 39],
            &band,
            &[0x1d, b'V', 66, 0],
        ];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn a_narrow_job_sends_white_rows_as_dots_and_feeds_to_the_tear_bar() {
        let bytes = encode(&black_rows(384, 20, &[0, 19]), &profile("generic-58"));
        assert_eq!(
            bytes[..13],
            [0x1b, b'@', 0x1b, b'3', 0, 0x1d, b'v', b'0', 0, 48, 0, 20, 0]
        );
        assert_eq!(bytes.len(), 13 + 20 * 48 + 5);
        assert_eq!(bytes[13 + 20 * 48..], [0x1b, b'2', 0x1b, b'd', 4]);
    }

    #[test]
    fn long_white_is_fed_in_steps_and_bands_end_in_white_rows() {
        let bitmap = black_rows(576, 700, &[0, 699]);
        assert_eq!(
            parts(&bitmap, BlankRows::EscJ, 128),
            [
                Part::Band { top: 0, rows: 1 },
                Part::Feed(698),
                Part::Band { top: 699, rows: 1 }
            ]
        );
        let mut dense = black_rows(576, 300, &(0..300).collect::<Vec<_>>());
        dense.invert_rows(100, 101);
        let cut = parts(&dense, BlankRows::EscJ, 128);
        assert_eq!(cut[0], Part::Band { top: 0, rows: 101 });
        assert_eq!(
            cut[1],
            Part::Band {
                top: 101,
                rows: 128
            }
        );
        let mut fed = Vec::new();
        push_feed(&mut fed, 698);
        assert_eq!(fed, [0x1b, b'J', 255, 0x1b, b'J', 255, 0x1b, b'J', 188]);
    }

    #[test]
    fn no_real_time_sequence_leaves_in_picture_data() {
        let rows: Vec<u8> = (0..72 * 64)
            .map(|at| [0x10, 0x04, 0x10, 0x14, 0x10, 0x05, 0x10, 0x00][at % 8])
            .collect();
        let bytes = encode(&Bitmap::from_rows(576, rows), &profile("generic-80"));
        assert!(
            bytes
                .windows(2)
                .all(|pair| !(pair[0] == 0x10 && matches!(pair[1], 0x04 | 0x05 | 0x14)))
        );
    }

    #[test]
    fn the_drawer_kick_is_a_command_of_its_own() {
        let kick = drawer_kick(&profile("generic-80")).expect("has a drawer port");
        assert_eq!(kick, [0x1b, b'p', 0, 25, 250]);
        let mut none = profile("generic-80");
        none.pos.drawer.cmd = DrawerCommand::None;
        assert_eq!(drawer_kick(&none), None);
    }

    #[test]
    fn status_answers_are_read_and_noise_is_not() {
        for (question, answer, fault) in [
            (StatusQuestion::Printer, 0x12, Some(StatusFault::Nothing)),
            (StatusQuestion::Printer, 0x1a, Some(StatusFault::Offline)),
            (
                StatusQuestion::OfflineCause,
                0x16,
                Some(StatusFault::CoverOpen),
            ),
            (
                StatusQuestion::OfflineCause,
                0x32,
                Some(StatusFault::PaperOut),
            ),
            (StatusQuestion::ErrorCause, 0x1a, Some(StatusFault::Cutter)),
            (StatusQuestion::Paper, 0x72, Some(StatusFault::PaperOut)),
            (StatusQuestion::Paper, 0x1e, Some(StatusFault::Nothing)),
            (StatusQuestion::Paper, 0xff, None),
            (StatusQuestion::Printer, 0x00, None),
        ] {
            assert_eq!(question.fault(answer), fault, "{question:?} {answer:#x}");
        }
        assert_eq!(StatusQuestion::Paper.bytes(), [0x10, 0x04, 4]);
    }
}
