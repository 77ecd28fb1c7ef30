//! Machine-readable codes as modules: QR by library, Code 128 by its table.

use qrcode::{Color, EcLevel, QrCode};

/// A square of modules, row by row, true = black, without quiet zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Modules per side.
    pub side: u32,
    /// The modules.
    pub modules: Vec<bool>,
}

/// A QR code of `data` with error correction M; none when the data is longer than a QR code holds.
pub fn qr(data: &str) -> Option<Matrix> {
    let code = QrCode::with_error_correction_level(data, EcLevel::M).ok()?;
    let side = u32::try_from(code.width()).ok()?;
    let modules = code
        .to_colors()
        .into_iter()
        .map(|color| color == Color::Dark)
        .collect();
    Some(Matrix { side, modules })
}

/// The bars and spaces of `data` as a Code 128 symbol, true = black, without quiet zone; none when `data` is
/// empty or has characters outside printable ASCII.
///
/// # Source
/// ISO/IEC 15417: code sets B and C, check symbol modulo 103. Even runs of digits go in set C.
pub fn code128(data: &str) -> Option<Vec<bool>> {
    if data.is_empty() || !data.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return None;
    }
    let symbols = code128_symbols(data.as_bytes());
    let mut modules = Vec::with_capacity(symbols.len() * 11 + 2);
    for symbol in symbols {
        let mut black = true;
        for width in CODE128_WIDTHS[usize::from(symbol)].bytes() {
            modules.extend(std::iter::repeat_n(black, usize::from(width - b'0')));
            black = !black;
        }
    }
    Some(modules)
}

const TO_SET_C: u8 = 99;
const TO_SET_B: u8 = 100;
const START_B: u8 = 104;
const START_C: u8 = 105;
const STOP: u8 = 106;

fn code128_symbols(data: &[u8]) -> Vec<u8> {
    let digits_at = |at: usize| {
        data[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    // A switch to C costs one symbol and back another: it pays from four digits at an end, six inside.
    let pays =
        |at: usize, run: usize| run >= 6 || (run >= 4 && (at == 0 || at + run == data.len()));
    let mut symbols = Vec::new();
    let mut in_c = pays(0, digits_at(0));
    symbols.push(if in_c { START_C } else { START_B });
    let mut at = 0;
    while at < data.len() {
        let run = digits_at(at);
        if in_c && run < 2 {
            symbols.push(TO_SET_B);
            in_c = false;
        } else if !in_c && run.is_multiple_of(2) && pays(at, run) {
            symbols.push(TO_SET_C);
            in_c = true;
        }
        if in_c {
            symbols.push((data[at] - b'0') * 10 + (data[at + 1] - b'0'));
            at += 2;
        } else {
            symbols.push(data[at] - 0x20);
            at += 1;
        }
    }
    let sum: usize = symbols
        .iter()
        .enumerate()
        .map(|(place, symbol)| place.max(1) * usize::from(*symbol))
        .sum();
    symbols.push((sum % 103) as u8);
    symbols.push(STOP);
    symbols
}

#[rustfmt::skip]
const CODE128_WIDTHS: [&str; 107] = [
    "212222", "222122", "222221", "121223", "121322", "131222", "122213", "122312", "132212", "221213",
    "221312", "231212", "112232", "122132", "122231", "113222", "123122", "123221", "223211", "221132",
    "221231", "213212", "223112", "312131", "311222", "321122", "321221", "312212", "322112", "322211",
    "212123", "212321", "232121", "111323", "131123", "131321", "112313", "132113", "132311", "211313",
    "231113", "231311", "112133", "112331", "132131", "113123", "113321", "133121", "313121", "211331",
    "231131", "213113", "213311", "213131", "311123", "311321", "331121", "312113", "312311", "332111",
    "314111", "221411", "431111", "111224", "111422", "121124", "121421", "141122", "141221", "112214",
    "112412", "122114", "122411", "142112", "142211", "241211", "221114", "413111", "241112", "134111",
    "111242", "121142", "121241", "114212", "124112", "124211", "411212", "421112", "421211", "212141",
    "214121", "412121", "111143", "111341", "131141", "114113", "114311", "411113", "411311", "113141",
    "114131", "311141", "411131", "211412", "211214", "211232", "2331112",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_128_table_is_regular() {
        for (symbol, widths) in CODE128_WIDTHS.iter().enumerate() {
            let total: u32 = widths.bytes().map(|width| u32::from(width - b'0')).sum();
            assert_eq!(
                total,
                if symbol == usize::from(STOP) { 13 } else { 11 },
                "symbol {symbol}"
            );
        }
        let distinct: std::collections::BTreeSet<_> = CODE128_WIDTHS.iter().collect();
        assert_eq!(distinct.len(), 107);
    }

    #[test]
    fn code_128_symbols_match_worked_examples() {
        // Check symbols by hand: sum of symbol times place, modulo 103.
        assert_eq!(code128_symbols(b"A"), [104, 33, (104 + 33) % 103, 106]);
        assert_eq!(
            code128_symbols(b"1234"),
            [105, 12, 34, ((105 + 12 + 2 * 34) % 103) as u8, 106]
        );
        let mixed = code128_symbols(b"AB123456");
        assert_eq!(mixed[..7], [104, 33, 34, 99, 12, 34, 56]);
        let odd = code128_symbols(b"12345");
        assert_eq!(odd[..5], [105, 12, 34, 100, b'5' - 0x20]);
    }

    #[test]
    fn what_a_code_cannot_say_gives_none() {
        assert!(code128("").is_none());
        assert!(code128("é").is_none());
        assert!(qr(&"x".repeat(5_000)).is_none());
        assert_eq!(qr("HANOUT").map(|matrix| matrix.side), Some(21));
    }
}
