//! From a document to dots: shaping, bidirectional order, columns, threshold.
//!
//! Fonts are embedded, positions are whole dots except inside joined Arabic words, and nothing depends on
//! the machine, its locale or what was rendered before.

use base64::Engine as _;
use cosmic_text::fontdb::{Database, Source};
use cosmic_text::{
    Attrs, Buffer, CacheKey, Family, FontSystem, Metrics, Shaping, SubpixelBin, SwashCache,
    SwashContent, Weight as FontWeight, Wrap,
};
use domain::catalog::Language;
use std::sync::Arc;

use crate::bitmap::Bitmap;
use crate::codes;
use crate::document::{Block, Document, Row, RuleStyle, Symbology, Weight};

/// Changes whenever the same document would give other dots. Print jobs may store it beside the document.
pub const RENDERER_VERSION: u32 = 2;

/// Coverage (0-255) from which a dot prints. Below one half: a thermal head thins strokes by a fraction of a dot.
const THRESHOLD: u8 = 110;

/// One family for both scripts, so that no word is ever shaped by two fonts.
const FAMILY: &str = "Hanout Receipt";

const FONTS: [&[u8]; 2] = [
    include_bytes!("../fonts/HanoutReceipt-Regular.ttf"),
    include_bytes!("../fonts/HanoutReceipt-Bold.ttf"),
];

/// True for letters and signs of the Arabic script and the joiners between them.
const fn is_arabic(ch: char) -> bool {
    matches!(ch, '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}' | '\u{200c}' | '\u{200d}')
}

/// Renders documents; keep one, its glyph cache makes every receipt after the first fast.
pub struct Renderer {
    fonts: FontSystem,
    glyphs: SwashCache,
    buffer: Buffer,
}

impl Default for Renderer {
    fn default() -> Renderer {
        Renderer::new()
    }
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renderer")
            .field("glyphs_cached", &self.glyphs.image_cache.len())
            .finish()
    }
}

impl Renderer {
    /// A renderer with the embedded fonts and an empty cache.
    pub fn new() -> Renderer {
        let mut database = Database::new();
        for font in FONTS {
            database.load_font_source(Source::Binary(Arc::new(font)));
        }
        // A fixed locale: the machine's would select other fallback lists.
        let mut fonts = FontSystem::new_with_locale_and_db("fr".to_owned(), database);
        let buffer = Buffer::new(&mut fonts, Metrics::new(20.0, 26.0));
        Renderer {
            fonts,
            glyphs: SwashCache::new(),
            buffer,
        }
    }

    /// The document as dots, `width` wide and as tall as it needs, free of real-time sequences.
    pub fn render(&mut self, document: &Document, width: u32) -> Bitmap {
        let mut page = Page::new(self, document.language, width.clamp(WIDTH_MIN, WIDTH_MAX));
        for block in &document.blocks {
            page.block(block);
        }
        let mut bitmap = page.bitmap;
        bitmap.trim_bottom();
        bitmap.without_realtime_sequences()
    }

    fn shape(&mut self, text: &str, font: Font, base: Base, width: Option<i32>) -> Vec<Line> {
        let mark = match base {
            Base::LeftToRight => '\u{200e}',
            Base::RightToLeft => '\u{200f}',
        };
        // Control characters would be drawn as boxes; a stored document may hold some.
        let text: String = std::iter::once(mark)
            .chain(
                text.chars()
                    .map(|ch| if ch.is_control() { ' ' } else { ch }),
            )
            .collect();
        let size = font.size as f32;
        self.buffer.set_metrics_and_size(
            Metrics::new(size, size * 1.3),
            width.map(|width| width as f32),
            None,
        );
        self.buffer.set_wrap(Wrap::WordOrGlyph);
        let weight = if font.bold {
            FontWeight::BOLD
        } else {
            FontWeight::NORMAL
        };
        let attrs = Attrs::new().family(Family::Name(FAMILY)).weight(weight);
        self.buffer.set_text(&text, &attrs, Shaping::Advanced, None);
        self.buffer.shape_until_scroll(&mut self.fonts, false);
        let lines = self
            .buffer
            .layout_runs()
            .map(|run| Line::from_run(&run, font))
            .collect::<Vec<_>>();
        if lines.is_empty() {
            vec![Line::empty(font)]
        } else {
            lines
        }
    }
}

/// Narrowest and widest paper rendered, in dots.
const WIDTH_MIN: u32 = 160;
const WIDTH_MAX: u32 = 1_200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Font {
    size: i32,
    bold: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    LeftToRight,
    RightToLeft,
}

/// Where a line stands inside its box. Start and end follow the document's direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Start,
    Center,
    End,
}

struct Glyph {
    key: CacheKey,
    x: i32,
    y: i32,
}

/// One laid out line, its ink starting at x = 0.
struct Line {
    glyphs: Vec<Glyph>,
    width: i32,
    ascent: i32,
    descent: i32,
}

impl Line {
    fn empty(font: Font) -> Line {
        let (ascent, descent) = extents(font, false);
        Line {
            glyphs: Vec::new(),
            width: 0,
            ascent,
            descent,
        }
    }

    fn from_run(run: &cosmic_text::LayoutRun<'_>, font: Font) -> Line {
        let drawn = |glyph: &&cosmic_text::LayoutGlyph| {
            let text = run.text.get(glyph.start..glyph.end).unwrap_or_default();
            !text
                .chars()
                .all(|ch| ch.is_whitespace() || crate::format::is_direction_control(ch))
        };
        let glyphs: Vec<_> = run.glyphs.iter().filter(drawn).collect();
        let left = glyphs
            .iter()
            .map(|glyph| glyph.x)
            .fold(f32::INFINITY, f32::min);
        let right = glyphs
            .iter()
            .map(|glyph| glyph.x + glyph.w)
            .fold(f32::NEG_INFINITY, f32::max);
        if glyphs.is_empty() {
            return Line::empty(font);
        }
        let mut has_arabic = false;
        let placed = glyphs.iter().map(|glyph| {
            let joins = run
                .text
                .get(glyph.start..glyph.end)
                .is_some_and(|text| text.chars().any(is_arabic));
            has_arabic |= joins;
            place(glyph, left, joins)
        });
        let placed = placed.collect();
        let (ascent, descent) = extents(font, has_arabic);
        Line {
            glyphs: placed,
            width: (right - left).ceil() as i32,
            ascent,
            descent,
        }
    }
}

/// Latin glyphs start on a whole dot, so a letter looks the same wherever it stands; Arabic letters keep their
/// quarter-dot place, or the strokes that join them would break.
fn place(glyph: &cosmic_text::LayoutGlyph, left: f32, joins: bool) -> Glyph {
    let offset = if joins {
        (-left, 0.0)
    } else {
        (-left + 0.5, 0.0)
    };
    let mut physical = glyph.physical(offset, 1.0);
    if !joins {
        physical.cache_key.x_bin = SubpixelBin::Zero;
    }
    physical.cache_key.y_bin = SubpixelBin::Zero;
    Glyph {
        key: physical.cache_key,
        x: physical.x,
        y: physical.y,
    }
}

/// Room above and below the baseline, in dots.
const fn extents(font: Font, has_arabic: bool) -> (i32, i32) {
    if has_arabic {
        (font.size, font.size * 45 / 100)
    } else {
        (font.size * 94 / 100, font.size * 28 / 100)
    }
}

/// Sizes by paper width, in dots.
struct Sizes {
    small: i32,
    normal: i32,
    title: i32,
    total: i32,
}

struct Page<'a> {
    renderer: &'a mut Renderer,
    bitmap: Bitmap,
    base: Base,
    sizes: Sizes,
    y: i32,
}

impl<'a> Page<'a> {
    fn new(renderer: &'a mut Renderer, language: Language, width: u32) -> Page<'a> {
        // 203 dots per inch: 22 dots are 2.75 mm, the size of a printer's own font A.
        let sizes = if width <= 432 {
            Sizes {
                small: 19,
                normal: 22,
                title: 32,
                total: 34,
            }
        } else {
            Sizes {
                small: 22,
                normal: 26,
                title: 40,
                total: 42,
            }
        };
        let base = match language {
            Language::Ar => Base::RightToLeft,
            Language::Fr | Language::En => Base::LeftToRight,
        };
        Page {
            renderer,
            bitmap: Bitmap::new(width),
            base,
            sizes,
            y: 0,
        }
    }

    fn width(&self) -> i32 {
        self.bitmap.width() as i32
    }

    fn font(&self, weight: Weight) -> Font {
        match weight {
            Weight::Small => Font {
                size: self.sizes.small,
                bold: false,
            },
            Weight::Normal => Font {
                size: self.sizes.normal,
                bold: false,
            },
            Weight::Strong => Font {
                size: self.sizes.normal,
                bold: true,
            },
        }
    }

    fn block(&mut self, block: &Block) {
        let title = Font {
            size: self.sizes.title,
            bold: true,
        };
        match block {
            Block::Title { text } => self.paragraph(text, title, Side::Center),
            Block::Centered { text, weight } => {
                self.paragraph(text, self.font(*weight), Side::Center)
            }
            Block::Text { text, weight } => self.paragraph(text, self.font(*weight), Side::Start),
            Block::Row {
                label,
                amount,
                weight,
            } => {
                let font = self.font(*weight);
                self.row(label, amount, font, font, 0);
            }
            Block::Item {
                name,
                detail,
                amount,
                discount,
            } => self.item(name, detail.as_deref(), amount, discount.as_ref()),
            Block::Table { head, rows } => self.table(head, rows),
            Block::Rule { style } => self.rule(*style),
            Block::Spacer { eighths } => {
                self.y += self.sizes.normal * 5 / 4 * i32::from(*eighths) / 8
            }
            Block::Total { label, amount } => self.total(label, amount),
            Block::Mark { text } => self.mark(text, title),
            Block::Logo {
                width,
                height,
                rows,
            } => self.logo(*width, *height, rows),
            Block::Code {
                symbology,
                data,
                caption,
            } => self.code(*symbology, data, caption),
            Block::Ruler => self.ruler(),
        }
    }

    /// Amounts, codes and dates run left to right; a name or a currency in Arabic turns its own cell.
    fn base_of_amount(&self, text: &str) -> Base {
        if self.base == Base::RightToLeft && text.chars().any(is_arabic) {
            Base::RightToLeft
        } else {
            Base::LeftToRight
        }
    }

    fn paragraph(&mut self, text: &str, font: Font, side: Side) {
        let lines = self
            .renderer
            .shape(text, font, self.base, Some(self.width()));
        for line in lines {
            let x = self.x_of(&line, side, 0, self.width());
            self.bitmap
                .grow((self.y + line.ascent + line.descent) as u32);
            self.draw(&line, x, self.y + line.ascent);
            self.y += line.ascent + line.descent;
        }
    }

    /// Where the ink of `line` begins inside the box from `left` to `right`.
    fn x_of(&self, line: &Line, side: Side, left: i32, right: i32) -> i32 {
        let at_left = match side {
            Side::Center => return left + (right - left - line.width) / 2,
            Side::Start => self.base == Base::LeftToRight,
            Side::End => self.base == Base::RightToLeft,
        };
        if at_left { left } else { right - line.width }
    }

    /// A label that wraps, and an amount on the far side of the label's last line; on a line of its own where
    /// the label would be squeezed below a third of the paper or a word of it would break.
    fn row(&mut self, label: &str, amount: &str, label_font: Font, amount_font: Font, indent: i32) {
        let width = self.width() - indent;
        let gap = amount_font.size / 2;
        let base = self.base_of_amount(amount);
        let natural = self
            .renderer
            .shape(amount, amount_font, base, None)
            .into_iter()
            .next();
        let amount_width = natural.as_ref().map_or(0, |line| line.width);
        let room = width - amount_width - gap;
        let label_natural = self
            .renderer
            .shape(label, label_font, self.base, None)
            .first()
            .map_or(0, |line| line.width);
        let mut beside = room >= label_natural.min(width / 3);
        let label_width = if beside { room } else { width };
        let mut labels = self
            .renderer
            .shape(label, label_font, self.base, Some(label_width));
        if beside && labels.len() > 1 && self.longest_word(label, label_font) > room {
            beside = false;
            labels = self
                .renderer
                .shape(label, label_font, self.base, Some(width));
        }
        let fits_beside = beside && !amount.is_empty();
        let amounts = if amount_width <= width {
            natural.into_iter().collect()
        } else {
            self.renderer.shape(amount, amount_font, base, Some(width))
        };
        let last = if fits_beside { labels.pop() } else { None };
        let (start, end) = match self.base {
            Base::LeftToRight => (indent, self.width()),
            Base::RightToLeft => (0, self.width() - indent),
        };
        for line in labels {
            self.line_of(&[(&line, self.x_of(&line, Side::Start, start, end))]);
        }
        let mut amounts = amounts.into_iter();
        let mut together = Vec::new();
        if let Some(last) = &last {
            together.push((last, self.x_of(last, Side::Start, start, end)));
        }
        let first = amounts.next();
        if let Some(first) = &first {
            together.push((first, self.x_of(first, Side::End, start, end)));
        }
        if !together.is_empty() {
            self.line_of(&together);
        }
        for line in amounts {
            self.line_of(&[(&line, self.x_of(&line, Side::End, start, end))]);
        }
    }

    /// The label and the amount on one line, in the largest size that allows it.
    fn total(&mut self, label: &str, amount: &str) {
        let base = self.base_of_amount(amount);
        let bold = |size| Font { size, bold: true };
        let fits = |page: &mut Page<'_>, size: i32| {
            let width = page.natural_width(label, bold(size), page.base)
                + page.natural_width(amount, bold(size), base);
            width + size / 2 <= page.width()
        };
        let smallest = self.sizes.normal + 2;
        let size = (smallest..=self.sizes.total)
            .rev()
            .step_by(2)
            .find(|size| fits(self, *size))
            .unwrap_or(smallest);
        self.row(label, amount, bold(size), bold(size), 0);
    }

    fn natural_width(&mut self, text: &str, font: Font, base: Base) -> i32 {
        self.renderer
            .shape(text, font, base, None)
            .iter()
            .map(|line| line.width)
            .max()
            .unwrap_or(0)
    }

    fn longest_word(&mut self, text: &str, font: Font) -> i32 {
        let longest = text
            .split(' ')
            .max_by_key(|word| word.chars().count())
            .unwrap_or_default();
        self.natural_width(longest, font, self.base)
    }

    /// Draws lines side by side on one baseline and moves below them.
    fn line_of(&mut self, parts: &[(&Line, i32)]) {
        let ascent = parts.iter().map(|(line, _)| line.ascent).max().unwrap_or(0);
        let descent = parts
            .iter()
            .map(|(line, _)| line.descent)
            .max()
            .unwrap_or(0);
        self.bitmap.grow((self.y + ascent + descent) as u32);
        for (line, x) in parts {
            self.draw(line, *x, self.y + ascent);
        }
        self.y += ascent + descent;
    }

    fn item(&mut self, name: &str, detail: Option<&str>, amount: &str, discount: Option<&Row>) {
        let font = self.font(Weight::Normal);
        let indent = font.size;
        match detail {
            None => self.row(name, amount, font, font, 0),
            Some(detail) => {
                self.paragraph(name, font, Side::Start);
                self.row(detail, amount, font, font, indent);
            }
        }
        if let Some(row) = discount {
            self.row(&row.label, &row.amount, font, font, indent);
        }
        self.y += font.size / 6;
    }

    fn table(&mut self, head: &[String], rows: &[Vec<String>]) {
        let columns = head.len();
        if columns == 0 {
            return;
        }
        let mut size = self.sizes.small;
        let (cells, widths, gap) = loop {
            let font = Font { size, bold: false };
            let mut cells: Vec<Vec<Line>> = Vec::with_capacity(rows.len() + 1);
            for (place, row) in std::iter::once(head)
                .chain(rows.iter().map(Vec::as_slice))
                .enumerate()
            {
                let font = Font {
                    bold: place == 0,
                    ..font
                };
                let shape = |cell: &String| {
                    let base = self.base_of_amount(cell);
                    self.renderer
                        .shape(cell, font, base, None)
                        .into_iter()
                        .next()
                        .unwrap_or_else(|| Line::empty(font))
                };
                cells.push(row.iter().take(columns).map(shape).collect());
            }
            let widths: Vec<i32> = (0..columns)
                .map(|column| {
                    cells
                        .iter()
                        .filter_map(|row| row.get(column))
                        .map(|line| line.width)
                        .max()
                        .unwrap_or(0)
                })
                .collect();
            let spare = self.bitmap.width() as i32 - widths.iter().sum::<i32>();
            let gap = spare / (columns as i32 - 1).max(1);
            // Nine dots between columns still read as columns; fourteen dots is the smallest legible size.
            if gap >= 9 || size <= 14 {
                break (cells, widths, gap);
            }
            size -= 1;
        };
        for row in &cells {
            let mut parts = Vec::with_capacity(columns);
            let mut offset = 0;
            for (column, line) in row.iter().enumerate() {
                let (left, right) = match self.base {
                    Base::LeftToRight => (offset, offset + widths[column]),
                    Base::RightToLeft => (
                        self.width() - offset - widths[column],
                        self.width() - offset,
                    ),
                };
                let side = if column == 0 { Side::Start } else { Side::End };
                parts.push((line, self.x_of(line, side, left, right)));
                offset += widths[column] + gap;
            }
            self.line_of(&parts);
        }
    }

    fn rule(&mut self, style: RuleStyle) {
        let pad = self.sizes.normal / 3;
        let thickness = match style {
            RuleStyle::Dashed => 2,
            RuleStyle::Solid => 3,
        };
        let top = self.y + pad;
        self.bitmap.grow((top + thickness) as u32);
        match style {
            RuleStyle::Solid => self.bitmap.fill(0, top, self.width(), thickness),
            RuleStyle::Dashed => {
                for x in (0..self.width()).step_by(12) {
                    self.bitmap.fill(x, top, 7, thickness);
                }
            }
        }
        self.y = top + thickness + pad;
    }

    fn mark(&mut self, text: &str, font: Font) {
        let top = self.y;
        let pad = font.size / 5;
        self.y += pad;
        self.paragraph(text, font, Side::Center);
        self.y += pad;
        self.bitmap.grow(self.y as u32);
        self.bitmap.invert_rows(top as u32, self.y as u32);
    }

    fn logo(&mut self, width: u32, height: u32, rows: &str) {
        let Ok(rows) = base64::engine::general_purpose::STANDARD.decode(rows) else {
            return;
        };
        let logo = Bitmap::from_rows(width, rows);
        let (width, height) = (logo.width() as i32, logo.height().min(height) as i32);
        if width == 0 || height == 0 {
            return;
        }
        // Too wide a logo is shrunk by a whole factor: every nth dot, so thin lines may go but edges stay sharp.
        let factor = (width + self.width() - 1) / self.width();
        let left = (self.width() - width / factor) / 2;
        self.bitmap.grow((self.y + height / factor) as u32);
        for y in 0..height / factor {
            for x in 0..width / factor {
                if logo.is_black((x * factor) as u32, (y * factor) as u32) {
                    self.bitmap.set(left + x, self.y + y);
                }
            }
        }
        self.y += height / factor;
    }

    fn code(&mut self, symbology: Symbology, data: &str, caption: &str) {
        let drawn = match symbology {
            Symbology::Qr => self.qr(data),
            Symbology::Code128 => self.code128(data) || self.qr(data),
        };
        if drawn && symbology == Symbology::Code128 {
            self.y += self.sizes.small / 3;
        }
        if !caption.is_empty() {
            let font = self.font(Weight::Small);
            let lines = self
                .renderer
                .shape(caption, font, Base::LeftToRight, Some(self.width()));
            for line in lines {
                self.line_of(&[(&line, self.x_of(&line, Side::Center, 0, self.width()))]);
            }
        }
    }

    fn qr(&mut self, data: &str) -> bool {
        let Some(matrix) = codes::qr(data) else {
            return false;
        };
        let side = matrix.side as i32;
        // About 21 mm on either paper; never below three dots a module unless the paper leaves no choice.
        let module = (168 / side).clamp(3, 6).min(self.width() / (side + 8));
        if module == 0 {
            return false;
        }
        // Four modules of quiet zone above and below; at the sides the paper leaves more.
        self.y += 4 * module;
        let left = (self.width() - side * module) / 2;
        self.bitmap.grow((self.y + side * module) as u32);
        for y in 0..side {
            for x in 0..side {
                if matrix.modules[(y * side + x) as usize] {
                    self.bitmap
                        .fill(left + x * module, self.y + y * module, module, module);
                }
            }
        }
        self.y += (side + 4) * module;
        true
    }

    fn code128(&mut self, data: &str) -> bool {
        let Some(modules) = codes::code128(data) else {
            return false;
        };
        let count = modules.len() as i32;
        // Ten modules of quiet zone on each side; below two dots a module hand scanners fail on thermal paper.
        let module = (self.width() / (count + 20)).min(3);
        if module < 2 {
            return false;
        }
        let left = (self.width() - count * module) / 2;
        let height = self.sizes.normal * 3;
        self.bitmap.grow((self.y + height) as u32);
        for (place, _) in modules.iter().enumerate().filter(|(_, black)| **black) {
            self.bitmap
                .fill(left + place as i32 * module, self.y, module, height);
        }
        self.y += height;
        true
    }

    fn ruler(&mut self) {
        let (width, top) = (self.width(), self.y);
        self.bitmap.grow((top + 124) as u32);
        for (offset, step) in [(0, 2), (16, 4), (32, 8)] {
            for x in (0..width).step_by(step) {
                self.bitmap.fill(x, top + offset, step as i32 / 2, 16);
            }
        }
        for frame in [56, 92] {
            self.bitmap.fill(0, top + frame, width, 3);
            self.bitmap.fill(0, top + frame + 25, width, 3);
            self.bitmap.fill(0, top + frame, 3, 28);
            self.bitmap.fill(width - 3, top + frame, 3, 28);
        }
        for x in (0..width).step_by(80) {
            self.bitmap.fill(x, top + 56, 2, 28);
        }
        self.y = top + 124;
    }

    fn draw(&mut self, line: &Line, x: i32, baseline: i32) {
        let Renderer { fonts, glyphs, .. } = &mut *self.renderer;
        for glyph in &line.glyphs {
            let Some(image) = glyphs.get_image(fonts, glyph.key) else {
                continue;
            };
            if image.content != SwashContent::Mask {
                continue;
            }
            let (left, top) = (
                x + glyph.x + image.placement.left,
                baseline + glyph.y - image.placement.top,
            );
            let width = image.placement.width as usize;
            if width == 0 {
                continue;
            }
            for (row, coverage) in image.data.chunks_exact(width).enumerate() {
                for (column, value) in coverage.iter().enumerate() {
                    if *value >= THRESHOLD {
                        self.bitmap.set(left + column as i32, top + row as i32);
                    }
                }
            }
        }
    }
}
