//! A receipt printer on 127.0.0.1 that reads ESC/POS, rebuilds what it prints and fails when told to.
//!
//! It obeys the commands that Hanout sends and complains about everything else in [`State::problems`], so a
//! test that ends with [`FakePrinter::assert_no_problem`] also checks the bytes. Like real printers it keeps
//! printing data that it holds after the roll was changed, even when the sender has gone.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use receipt::Bitmap;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Connections are refused.
    RefuseConnections,
    /// The roll is empty: says so when asked, holds data, prints it when the fault is cleared.
    PaperOut,
    /// The cover is open: like [`Fault::PaperOut`] with another answer.
    CoverOpen,
    /// Takes data and prints, but answers nothing.
    Mute,
    /// Stops reading after this many bytes of a connection.
    StallAfter(u64),
    /// Resets the connection after this many bytes of it.
    ResetAfter(u64),
}

/// One piece of paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// What is on it, white rows at the bottom dropped.
    pub bitmap: Bitmap,
    /// How it ended.
    pub end: TicketEnd,
}

/// How a piece of paper ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketEnd {
    /// The cutter cut.
    Cut,
    /// Fed to the tear bar, then the connection closed or the next job began.
    Torn,
    /// The data stopped in the middle of a command.
    Broken,
}

/// What the printer has seen so far.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Papers, oldest first.
    pub tickets: Vec<Ticket>,
    /// Drawer kicks.
    pub kicks: u32,
    /// Connections accepted.
    pub connections: u32,
    /// Status questions answered or, when mute, heard.
    pub status_questions: u32,
    /// Bytes received.
    pub bytes: u64,
    /// What a real printer would have choked on.
    pub problems: Vec<String>,
    fault: Fault,
    listening: bool,
    open: u32,
    stopping: bool,
    engine: Engine,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    address: SocketAddr,
}

/// A running printer; it stops when dropped.
pub struct FakePrinter {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// Longest wait of [`FakePrinter::wait_until`]: far above what any step takes, so it only ends a hung test.
const PATIENCE: Duration = Duration::from_secs(20);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    fn wait_while(&self, condition: impl FnMut(&mut State) -> bool) {
        drop(
            self.changed
                .wait_while(self.lock(), condition)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

impl FakePrinter {
    /// Starts a printer of `width_dots` on a free port.
    ///
    /// # Panics
    /// If no port can be bound.
    pub fn start(width_dots: u32) -> FakePrinter {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let state = State {
            listening: true,
            engine: Engine::new(width_dots),
            ..State::default()
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            address,
        });
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&shared, listener)
        });
        FakePrinter {
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Changes what goes wrong, from now on; returns when it is in effect. Clearing an empty roll prints what
    /// was held.
    pub fn set_fault(&self, fault: Fault) {
        self.shared.update(|state| {
            state.fault = fault;
            state.work();
        });
        let refuses = fault == Fault::RefuseConnections;
        if refuses {
            // Wakes the acceptor so that it can close its socket; refused when it is closed already.
            drop(TcpStream::connect(self.shared.address));
        }
        self.shared.wait_while(|state| state.listening == refuses);
    }

    /// A copy of what it has seen so far.
    pub fn state(&self) -> State {
        self.shared.lock().clone()
    }

    /// Waits until `condition` holds and returns the state then.
    ///
    /// # Panics
    /// When it does not come to hold.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&State) -> bool) -> State {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        while !condition(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "the printer never came to: {what}; {:?}",
                *state
            );
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.clone()
    }

    /// Waits until every connection has closed and its data was worked through.
    pub fn wait_quiet(&self) -> State {
        self.wait_until("every connection closed", |state| state.open == 0)
    }

    /// Fails the test if the bytes held anything a printer would choke on.
    ///
    /// # Panics
    /// With the problems.
    pub fn assert_no_problem(&self) {
        let problems = self.state().problems;
        assert!(problems.is_empty(), "{problems:#?}");
    }
}

impl Drop for FakePrinter {
    fn drop(&mut self) {
        self.shared.update(|state| state.stopping = true);
        drop(TcpStream::connect(self.shared.address));
        if let Some(acceptor) = self.acceptor.take() {
            // A panic of the thread has already failed the test through its state.
            let _ = acceptor.join();
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: TcpListener) {
    let mut listener = Some(listener);
    loop {
        let (stopping, refusing) = {
            let state = shared.lock();
            (state.stopping, state.fault == Fault::RefuseConnections)
        };
        if stopping {
            return;
        }
        if refusing {
            listener = None;
            shared.update(|state| state.listening = false);
            shared.wait_while(|state| state.fault == Fault::RefuseConnections && !state.stopping);
            continue;
        }
        let Some(bound) = &listener else {
            match TcpListener::bind(shared.address) {
                Ok(bound) => {
                    listener = Some(bound);
                    shared.update(|state| state.listening = true);
                }
                Err(error) => {
                    shared.update(|state| {
                        state.problems.push(format!("cannot listen again: {error}"));
                        state.listening = true;
                        state.stopping = true;
                    });
                }
            }
            continue;
        };
        let Ok((stream, _)) = bound.accept() else {
            continue;
        };
        let accepted = shared.update(|state| {
            let accepted = !state.stopping && state.fault != Fault::RefuseConnections;
            if accepted {
                state.connections += 1;
                state.open += 1;
            }
            accepted
        });
        if accepted {
            let shared = Arc::clone(shared);
            std::thread::spawn(move || {
                serve(&shared, stream);
                shared.update(|state| {
                    state.open -= 1;
                    state.connection_closed();
                });
            });
        }
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) {
    let mut received = 0_u64;
    let mut buffer = [0; 4_096];
    // A short time-out lets the thread see a new fault or the end of the test; it decides nothing.
    if stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .is_err()
    {
        return;
    }
    loop {
        let (fault, stopping) = {
            let state = shared.lock();
            (state.fault, state.stopping)
        };
        if stopping {
            return;
        }
        let mut room = buffer.len();
        if let Fault::StallAfter(limit) | Fault::ResetAfter(limit) = fault {
            let left = limit.saturating_sub(received);
            if left == 0 {
                if matches!(fault, Fault::ResetAfter(_)) {
                    // Unread data makes the kernel answer the close with a reset.
                    match stream.peek(&mut [0]) {
                        Err(error) if is_timeout(&error) => continue,
                        Ok(_) | Err(_) => return,
                    }
                }
                shared.wait_while(|state| state.fault == fault && !state.stopping);
                continue;
            }
            room = room.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        match stream.read(&mut buffer[..room]) {
            Ok(0) => return,
            Ok(count) => {
                received += count as u64;
                let answers = shared.update(|state| state.receive(&buffer[..count]));
                if stream.write_all(&answers).is_err() {
                    return;
                }
            }
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {
                // Data held during a fault may have been worked through since, with answers in print order.
                let answers = shared.update(|state| std::mem::take(&mut state.engine.answers));
                if !answers.is_empty() && stream.write_all(&answers).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

impl State {
    fn receive(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.bytes += bytes.len() as u64;
        let mut answers = Vec::new();
        for byte in bytes {
            // Real-time commands are obeyed when they arrive, wherever they stand.
            self.engine.recent = [self.engine.recent[1], self.engine.recent[2], *byte];
            if let [0x10, 0x04, question @ 1..=4] = self.engine.recent {
                self.status_questions += 1;
                if self.fault != Fault::Mute {
                    answers.push(self.status(question));
                }
            }
            self.engine.pending.push(*byte);
        }
        self.work();
        answers.append(&mut self.engine.answers);
        answers
    }

    const fn holds(&self) -> bool {
        matches!(self.fault, Fault::PaperOut | Fault::CoverOpen)
    }

    fn status(&self, question: u8) -> u8 {
        match (question, self.fault) {
            (1, Fault::PaperOut | Fault::CoverOpen) => 0x1a,
            (2, Fault::PaperOut) => 0x32,
            (2, Fault::CoverOpen) => 0x16,
            (4, Fault::PaperOut) => 0x72,
            _ => 0x12,
        }
    }

    fn work(&mut self) {
        if self.holds() {
            return;
        }
        let mute = self.fault == Fault::Mute;
        while let Some(effect) = self.engine.next(&mut self.problems) {
            match effect {
                Effect::None => {}
                Effect::Kick => self.kicks += 1,
                Effect::Answer(byte) if !mute => self.engine.answers.push(byte),
                Effect::Answer(_) => {}
                Effect::Ticket(end) => self.finish(end),
            }
        }
    }

    fn finish(&mut self, end: TicketEnd) {
        if let Some(bitmap) = self.engine.take_paper() {
            self.tickets.push(Ticket { bitmap, end });
        }
    }

    fn connection_closed(&mut self) {
        if self.holds() {
            return;
        }
        let broken = !self.engine.pending.is_empty();
        self.engine.pending.clear();
        self.finish(if broken {
            TicketEnd::Broken
        } else {
            TicketEnd::Torn
        });
    }
}

enum Effect {
    None,
    Kick,
    Answer(u8),
    Ticket(TicketEnd),
}

/// The command interpreter and the paper under the head.
#[derive(Debug, Clone, Default)]
struct Engine {
    width: u32,
    pending: Vec<u8>,
    recent: [u8; 3],
    answers: Vec<u8>,
    rows: Vec<u8>,
    line_spacing: u32,
    motion_unit: u32,
}

/// Dots of a text line at the default spacing of one sixth of an inch.
const LINE_DOTS: u32 = 34;
const DPI: u32 = 203;

impl Engine {
    fn new(width: u32) -> Engine {
        Engine {
            width,
            line_spacing: LINE_DOTS,
            motion_unit: DPI,
            ..Engine::default()
        }
    }

    fn stride(&self) -> usize {
        (self.width as usize).div_ceil(8)
    }

    fn take_paper(&mut self) -> Option<Bitmap> {
        let rows = std::mem::take(&mut self.rows);
        let mut bitmap = Bitmap::from_rows(self.width, rows);
        bitmap.trim_bottom();
        (bitmap.height() > 0).then_some(bitmap)
    }

    fn feed(&mut self, dots: u32) {
        let rows = dots as usize * self.stride();
        self.rows.resize(self.rows.len() + rows, 0);
    }

    /// Obeys the next whole command; none when there is none.
    fn next(&mut self, problems: &mut Vec<String>) -> Option<Effect> {
        let (length, effect) = match *self.pending.as_slice() {
            [0x1b, b'@', ..] => {
                (self.line_spacing, self.motion_unit) = (LINE_DOTS, DPI);
                let torn = !self.rows.is_empty();
                (
                    2,
                    if torn {
                        Effect::Ticket(TicketEnd::Torn)
                    } else {
                        Effect::None
                    },
                )
            }
            [0x1b, b'2', ..] => {
                self.line_spacing = LINE_DOTS;
                (2, Effect::None)
            }
            [0x1b, b'3', dots, ..] => {
                self.line_spacing = u32::from(dots);
                (3, Effect::None)
            }
            [0x1b, b'J', units, ..] => {
                self.feed(u32::from(units) * DPI / self.motion_unit.max(1));
                (3, Effect::None)
            }
            [0x1b, b'd', lines, ..] => {
                self.feed(u32::from(lines) * self.line_spacing);
                (3, Effect::None)
            }
            [0x1b, b'p', _, _, _, ..] => (5, Effect::Kick),
            [0x1d, b'P', _, vertical, ..] => {
                self.motion_unit = u32::from(vertical);
                (4, Effect::None)
            }
            [0x1d, b'r', _, ..] => (3, Effect::Answer(0x00)),
            [0x1d, b'V', 0 | 1, ..] => (3, Effect::Ticket(TicketEnd::Cut)),
            [0x1d, b'V', 65 | 66, _, ..] => (4, Effect::Ticket(TicketEnd::Cut)),
            [0x1d, b'v', b'0', _, xl, xh, yl, yh, ..] => {
                let (stride, rows) = (
                    usize::from(u16::from_le_bytes([xl, xh])),
                    usize::from(u16::from_le_bytes([yl, yh])),
                );
                let length = 8 + stride * rows;
                if self.pending.len() < length {
                    return None;
                }
                self.raster(stride, length, problems);
                (length, Effect::None)
            }
            [0x10, 0x04, _, ..] => (3, Effect::None),
            [0x1b, b'3' | b'J' | b'd' | b'p', ..]
            | [0x1d, b'P' | b'r' | b'v' | b'V', ..]
            | [0x10, 0x04]
            | [0x1b | 0x1d | 0x10]
            | [] => {
                return None;
            }
            [unknown, ..] => {
                problems.push(format!("byte {unknown:#04x} is no command of ours"));
                (1, Effect::None)
            }
        };
        self.pending.drain(..length);
        Some(effect)
    }

    fn raster(&mut self, stride: usize, length: usize, problems: &mut Vec<String>) {
        let data = &self.pending[8..length];
        if stride != self.stride() {
            problems.push(format!(
                "a row of {stride} bytes on paper of {}",
                self.stride()
            ));
        }
        if data
            .windows(2)
            .any(|pair| pair[0] == 0x10 && matches!(pair[1], 0x04 | 0x05 | 0x14))
        {
            problems.push("a real-time sequence inside picture data".to_owned());
        }
        let paper = self.stride();
        for row in data.chunks_exact(stride.max(1)) {
            let mut printed = row.to_vec();
            printed.resize(paper, 0);
            self.rows.extend(printed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(printer: &FakePrinter) -> TcpStream {
        let stream = TcpStream::connect(printer.address()).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
        stream
    }

    fn send(printer: &FakePrinter, bytes: &[u8]) {
        connect(printer).write_all(bytes).expect("write");
        printer.wait_until("bytes arrived", |state| state.bytes >= bytes.len() as u64);
        printer.wait_quiet();
    }

    fn band(rows: &[[u8; 2]]) -> Vec<u8> {
        [
            &[0x1d, b'v', b'0', 0, 2, 0, rows.len() as u8, 0][..],
            &rows.concat(),
        ]
        .concat()
    }

    #[test]
    fn bands_and_feeds_become_one_picture() {
        let printer = FakePrinter::start(16);
        let job = [
            &b"\x1b@\x1b3\x00\x1dP\xcb\xcb"[..],
            &band(&[[1, 2], [3, 4]]),
            b"\x1bJ\x02",
            &band(&[[5, 6]]),
            b"\x1dVB\x00",
        ];
        send(&printer, &job.concat());
        let state = printer.state();
        assert_eq!(
            state.tickets,
            [Ticket {
                bitmap: Bitmap::from_rows(16, vec![1, 2, 3, 4, 0, 0, 0, 0, 5, 6]),
                end: TicketEnd::Cut
            }]
        );
        assert_eq!((state.kicks, state.connections), (0, 1));
        printer.assert_no_problem();
    }

    #[test]
    fn a_feed_in_the_wrong_unit_shows() {
        let printer = FakePrinter::start(16);
        send(
            &printer,
            &[
                &b"\x1b@\x1dP\x65\x65"[..],
                &band(&[[1, 2]]),
                b"\x1bJ\x01",
                &band(&[[5, 6]]),
                b"\x1dV\x00",
            ]
            .concat(),
        );
        assert_eq!(
            printer.state().tickets[0].bitmap.height(),
            4,
            "one unit of 1/101 inch is two dots"
        );
    }

    #[test]
    fn a_kick_is_counted_and_prints_nothing() {
        let printer = FakePrinter::start(16);
        send(&printer, b"\x1bp\x00\x19\xfa");
        assert_eq!(
            (printer.state().kicks, printer.state().tickets.len()),
            (1, 0)
        );
    }

    #[test]
    fn foreign_bytes_wrong_widths_and_real_time_sequences_are_problems() {
        for bytes in [
            b"A".to_vec(),
            [&[0x1d, b'v', b'0', 0, 3, 0, 1, 0][..], &[0, 0, 0]].concat(),
            band(&[[0x10, 0x14]]),
        ] {
            let printer = FakePrinter::start(16);
            send(&printer, &bytes);
            assert_eq!(printer.state().problems.len(), 1, "{bytes:?}");
        }
    }

    #[test]
    fn status_follows_the_fault_and_held_data_prints_after_the_roll_change() {
        let printer = FakePrinter::start(16);
        let mut stream = connect(&printer);
        let mut ask = |question: u8| {
            stream.write_all(&[0x10, 0x04, question]).expect("write");
            let mut answer = [0];
            stream.read_exact(&mut answer).expect("answer");
            answer[0]
        };
        assert_eq!(ask(4), 0x12);
        printer.set_fault(Fault::PaperOut);
        assert_eq!((ask(4), ask(2), ask(1)), (0x72, 0x32, 0x1a));
        drop(stream);
        let job = [&b"\x1b@"[..], &band(&[[1, 2]]), b"\x1dV\x00"].concat();
        let before = printer.wait_quiet().bytes;
        connect(&printer).write_all(&job).expect("write");
        printer.wait_until("job arrived", |state| {
            state.bytes == before + job.len() as u64
        });
        assert!(printer.wait_quiet().tickets.is_empty());
        printer.set_fault(Fault::None);
        assert_eq!(printer.state().tickets.len(), 1);
    }

    #[test]
    fn connections_are_refused_and_taken_again() {
        let printer = FakePrinter::start(16);
        for _ in 0..3 {
            printer.set_fault(Fault::RefuseConnections);
            let error = TcpStream::connect(printer.address()).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            printer.set_fault(Fault::None);
            connect(&printer);
        }
    }

    #[test]
    fn a_reset_cuts_the_job_and_the_sender_sees_it() {
        let printer = FakePrinter::start(16);
        printer.set_fault(Fault::ResetAfter(12));
        let mut stream = connect(&printer);
        stream
            .write_all(&[band(&[[1, 2]]), band(&[[3, 4]])].concat())
            .expect("into the buffer");
        let mut answer = [0];
        let error = stream.read_exact(&mut answer).expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let state = printer.wait_quiet();
        assert_eq!(state.bytes, 12);
        assert_eq!(
            state.tickets,
            [Ticket {
                bitmap: Bitmap::from_rows(16, vec![1, 2]),
                end: TicketEnd::Broken
            }]
        );
    }

    #[test]
    fn a_stall_ends_when_the_fault_does() {
        let printer = FakePrinter::start(16);
        printer.set_fault(Fault::StallAfter(4));
        let mut stream = connect(&printer);
        stream.write_all(&band(&[[1, 2]])).expect("into the buffer");
        printer.wait_until("four bytes", |state| state.bytes == 4);
        assert!(printer.state().tickets.is_empty());
        printer.set_fault(Fault::None);
        drop(stream);
        printer.wait_until("the ticket", |state| state.tickets.len() == 1);
    }
}
