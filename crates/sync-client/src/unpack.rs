//! What a server compressed, unpacked within limits of size and memory: a handheld has little, and an answer of a few
//! kilobytes must not ask for all of it.

use std::io::Read as _;

/// Largest window a frame may ask memory for, as a power of two: 8 MiB, as the server allows.
const WINDOW_LOG_MAX: u32 = 23;

/// The content of a zstd frame of at most `limit` bytes; none when it is damaged, ends early, is longer, or wants a
/// larger window than 8 MiB.
pub(crate) fn unpack(frame: &[u8], limit: u64) -> Option<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(frame).ok()?;
    decoder.window_log_max(WINDOW_LOG_MAX).ok()?;
    let mut content = Vec::new();
    decoder
        .take(limit.saturating_add(1))
        .read_to_end(&mut content)
        .ok()?;
    (content.len() as u64 <= limit).then_some(content)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A frame with a window of two to the power of `window_log`, its length not said.
    fn frame(content: &[u8], window_log: u32) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("encoder");
        encoder.window_log(window_log).expect("a window");
        encoder.write_all(content).expect("into memory");
        encoder.finish().expect("into memory")
    }

    #[test]
    fn a_frame_gets_the_window_that_a_server_may_use_and_no_larger_one() {
        // The answer is small; only the window that it asks memory for is not.
        for (window_log, is_read) in [(19, true), (23, true), (24, false), (27, false)] {
            let frame = frame(&[b' '; 4_096], window_log);
            assert_eq!(
                unpack(&frame, 8_192).map(|content| content.len()),
                is_read.then_some(4_096),
                "2^{window_log}"
            );
        }
    }

    #[test]
    fn a_frame_is_read_up_to_its_limit_and_only_whole() {
        let frame = frame(&[7; 4_096], 19);
        assert_eq!(unpack(&frame, 4_096), Some(vec![7; 4_096]));
        assert_eq!(unpack(&frame, 4_095), None);
        for end in 1..frame.len() {
            assert_eq!(unpack(&frame[..end], 4_096), None, "{end} bytes");
        }
        assert_eq!(unpack(b"not a frame", 4_096), None);
    }
}
