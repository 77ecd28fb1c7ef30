//! A 1-bit picture as a thermal head prints it.

/// A monochrome picture: rows of `ceil(width / 8)` bytes, most significant bit left, 1 = black.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    width: u32,
    rows: Vec<u8>,
}

/// Why a PNG is no bitmap.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// The file is damaged.
    #[error("not a PNG file")]
    Malformed(#[from] png::DecodingError),
    /// Only 1-bit greyscale is read: what [`Bitmap::to_png`] writes.
    #[error("not a 1-bit greyscale picture")]
    NotMonochrome,
}

impl Bitmap {
    /// A white picture without rows.
    pub const fn new(width: u32) -> Bitmap {
        Bitmap {
            width,
            rows: Vec::new(),
        }
    }

    /// A picture of `rows`, each `ceil(width / 8)` bytes; an incomplete last row is dropped and bits beyond
    /// `width` are cleared.
    pub fn from_rows(width: u32, mut rows: Vec<u8>) -> Bitmap {
        let stride = Bitmap::new(width).stride();
        if stride == 0 {
            return Bitmap::new(width);
        }
        rows.truncate(rows.len() / stride * stride);
        let spare = stride * 8 - width as usize;
        for row in rows.chunks_exact_mut(stride) {
            row[stride - 1] &= 0xff << spare;
        }
        Bitmap { width, rows }
    }

    /// Width in dots.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height in dots.
    pub fn height(&self) -> u32 {
        match self.stride() {
            0 => 0,
            stride => (self.rows.len() / stride) as u32,
        }
    }

    /// Bytes per row.
    pub const fn stride(&self) -> usize {
        (self.width as usize).div_ceil(8)
    }

    /// All rows, top to bottom.
    pub fn rows(&self) -> &[u8] {
        &self.rows
    }

    /// Row `y`.
    pub fn row(&self, y: u32) -> &[u8] {
        let stride = self.stride();
        &self.rows[y as usize * stride..(y as usize + 1) * stride]
    }

    /// Whether the dot is black; dots outside are white.
    pub fn is_black(&self, x: u32, y: u32) -> bool {
        x < self.width
            && y < self.height()
            && self.row(y)[(x / 8) as usize] & (0x80 >> (x % 8)) != 0
    }

    /// Makes the picture at least `height` rows tall, white below.
    pub fn grow(&mut self, height: u32) {
        let len = height as usize * self.stride();
        if self.rows.len() < len {
            self.rows.resize(len, 0);
        }
    }

    /// Blackens a dot; dots outside the picture are ignored.
    pub fn set(&mut self, x: i32, y: i32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else {
            return;
        };
        if x < self.width && y < self.height() {
            let at = y as usize * self.stride() + (x / 8) as usize;
            self.rows[at] |= 0x80 >> (x % 8);
        }
    }

    /// Blackens a rectangle.
    pub fn fill(&mut self, x: i32, y: i32, width: i32, height: i32) {
        for row in y..y + height {
            for column in x..x + width {
                self.set(column, row);
            }
        }
    }

    /// Swaps black and white in the rows from `top` (included) to `bottom` (excluded).
    pub fn invert_rows(&mut self, top: u32, bottom: u32) {
        let (width, stride) = (self.width as usize, self.stride());
        let spare = stride * 8 - width;
        for y in top..bottom.min(self.height()) {
            let row = &mut self.rows[y as usize * stride..(y as usize + 1) * stride];
            for byte in row.iter_mut() {
                *byte = !*byte;
            }
            if let Some(last) = row.last_mut() {
                *last &= 0xff << spare;
            }
        }
    }

    /// Whether row `y` has no black dot.
    pub fn is_blank_row(&self, y: u32) -> bool {
        self.row(y).iter().all(|byte| *byte == 0)
    }

    /// Drops white rows at the bottom.
    pub fn trim_bottom(&mut self) {
        let stride = self.stride();
        while self.height() > 0 && self.is_blank_row(self.height() - 1) {
            self.rows.truncate(self.rows.len() - stride);
        }
    }

    /// Changes single dots so that the rows hold no byte 10 followed by 04, 05 or 14 (hexadecimal), which
    /// printers obey in real time even inside picture data (status, recovery, drawer kick). It is applied to
    /// the rendered picture rather than to its encoding, so preview, paper and test see the same dots.
    pub fn without_realtime_sequences(mut self) -> Bitmap {
        for at in 1..self.rows.len() {
            if self.rows[at - 1] == 0x10 && matches!(self.rows[at], 0x04 | 0x05 | 0x14) {
                // One dot wider to the left: it touches a black dot, so no speck appears, and it stays inside the width.
                self.rows[at - 1] = 0x30;
            }
        }
        self
    }

    /// The picture as a 1-bit greyscale PNG.
    pub fn to_png(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width.max(1), self.height().max(1));
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        // Letters have no slopes: filters make the file longer. The highest level would save another five percent of its
        // length in twice the time.
        encoder.set_filter(png::Filter::NoFilter);
        encoder.set_deflate_compression(png::DeflateCompression::Level(4));
        let mut rows: Vec<u8> = self.rows.iter().map(|byte| !byte).collect();
        if rows.is_empty() {
            rows = vec![0xff; self.stride().max(1)];
        }
        let mut writer = encoder
            .write_header()
            .expect("writing to memory cannot fail");
        writer
            .write_image_data(&rows)
            .expect("the data has the size of the header");
        writer.finish().expect("writing to memory cannot fail");
        file
    }

    /// Reads what [`Bitmap::to_png`] wrote.
    ///
    /// # Errors
    /// [`PngError`].
    pub fn from_png(file: &[u8]) -> Result<Bitmap, PngError> {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
        decoder.set_transformations(png::Transformations::IDENTITY);
        let mut reader = decoder.read_info()?;
        let info = reader.info();
        if info.color_type != png::ColorType::Grayscale || info.bit_depth != png::BitDepth::One {
            return Err(PngError::NotMonochrome);
        }
        let width = info.width;
        let size = reader.output_buffer_size().ok_or(PngError::NotMonochrome)?;
        let mut rows = vec![0; size];
        let frame = reader.next_frame(&mut rows)?;
        rows.truncate(frame.buffer_size());
        for byte in &mut rows {
            *byte = !*byte;
        }
        Ok(Bitmap::from_rows(width, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn png_round_trip_keeps_every_dot_at_odd_widths() {
        for width in [1, 7, 8, 9, 384, 577] {
            let mut bitmap = Bitmap::new(width);
            bitmap.grow(5);
            for y in 0..5 {
                for x in 0..width as i32 {
                    if (x * 7 + y * 3) % 5 == 0 {
                        bitmap.set(x, y);
                    }
                }
            }
            assert_eq!(
                Bitmap::from_png(&bitmap.to_png()).expect("just written"),
                bitmap,
                "{width}"
            );
        }
    }

    #[test]
    fn realtime_sequences_are_broken_by_a_single_dot() {
        let rows = vec![0x10, 0x04, 0x10, 0x10, 0x05, 0x00, 0x10, 0x14];
        let bitmap = Bitmap::from_rows(32, rows).without_realtime_sequences();
        assert_eq!(
            bitmap.rows(),
            [0x30, 0x04, 0x10, 0x30, 0x05, 0x00, 0x30, 0x14]
        );
        let across =
            Bitmap::from_rows(16, vec![0xff, 0x10, 0x04, 0xff]).without_realtime_sequences();
        assert_eq!(across.rows(), [0xff, 0x30, 0x04, 0xff]);
    }

    #[test]
    fn dots_outside_are_ignored_and_white() {
        let mut bitmap = Bitmap::new(10);
        bitmap.grow(2);
        bitmap.set(-1, 0);
        bitmap.set(10, 0);
        bitmap.set(0, 2);
        assert!(bitmap.rows().iter().all(|byte| *byte == 0));
        assert!(!bitmap.is_black(10, 0) && !bitmap.is_black(0, 9));
        bitmap.invert_rows(0, 1);
        assert_eq!(bitmap.rows(), [0xff, 0xc0, 0, 0]);
    }
}
