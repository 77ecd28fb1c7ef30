//! A printer on the network: raw bytes on a TCP port, usually 9100.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use receipt::Profile;
use receipt::encode::{CONFIRM_GS_R, StatusFault, StatusQuestion, drawer_kick};
use receipt::profile::Confirm;

use crate::port::{Cause, Outcome, Payload, PrinterPort, Readiness};

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpOptions {
    /// For the connection.
    pub connect: Duration,
    /// For the printer to take some bytes. Longer than a change of roll would hold up the queue silently.
    pub write: Duration,
    /// For the whole job.
    pub job: Duration,
    /// For the answer to a status question.
    pub status: Duration,
    /// For the confirmation after the last byte.
    pub confirm: Duration,
    /// For a late reset when nothing else tells.
    pub linger: Duration,
}

impl Default for TcpOptions {
    fn default() -> TcpOptions {
        TcpOptions {
            connect: Duration::from_secs(3),
            write: Duration::from_secs(10),
            job: Duration::from_secs(60),
            status: Duration::from_secs(2),
            confirm: Duration::from_secs(30),
            linger: Duration::from_millis(300),
        }
    }
}

/// Why a port cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TcpPortError {
    /// The profile asks for a confirmation that this port does not know.
    #[error("a network printer cannot confirm by {0:?}")]
    UnknownConfirmation(Confirm),
}

/// A printer at a network address. Keeps the connection from a readiness question for the job that follows,
/// because many printers serve one connection at a time.
#[derive(Debug)]
pub struct TcpPort {
    address: String,
    profile: Profile,
    options: TcpOptions,
    connection: Option<TcpStream>,
}

impl TcpPort {
    /// A port to `address` (`192.168.1.50:9100`).
    ///
    /// # Errors
    /// [`TcpPortError`].
    pub fn new(
        address: String,
        profile: Profile,
        options: TcpOptions,
    ) -> Result<TcpPort, TcpPortError> {
        match profile.pos.confirm {
            Confirm::None | Confirm::GsR => Ok(TcpPort {
                address,
                profile,
                options,
                connection: None,
            }),
            unknown @ (Confirm::ProcessId | Confirm::SunmiTransaction) => {
                Err(TcpPortError::UnknownConfirmation(unknown))
            }
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, self.options.connect) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_write_timeout(Some(self.options.write))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The connection left by a readiness question, or a new one.
    fn open(&mut self) -> Option<TcpStream> {
        match self.connection.take() {
            Some(stream) => Some(stream),
            None => self.connect().ok(),
        }
    }

    /// Asks every status question; the worst answer. Errors are silence or a broken connection.
    fn ask(&self, stream: &mut TcpStream) -> io::Result<StatusFault> {
        let mut worst = StatusFault::Nothing;
        for question in StatusQuestion::ALL {
            stream.write_all(&question.bytes())?;
            let deadline = Instant::now() + self.options.status;
            // Automatic status and late answers may come between: skip what is no answer to this question.
            let fault = loop {
                if let Some(fault) = question.fault(read_byte(stream, deadline)?) {
                    break fault;
                }
            };
            worst = worst.max(fault);
        }
        Ok(worst)
    }

    fn send(&self, stream: &mut TcpStream, bytes: &[u8]) -> Result<(), Outcome> {
        let deadline = Instant::now() + self.options.job;
        let chunk = self.profile.pos.raster.max_bytes_per_write as usize;
        let mut sent = 0;
        while sent < bytes.len() {
            let result = if Instant::now() < deadline {
                stream.write(&bytes[sent..bytes.len().min(sent + chunk)])
            } else {
                Err(ErrorKind::TimedOut.into())
            };
            match result {
                Ok(0) => return Err(failed(sent, Cause::Disconnected)),
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(sent, cause_of(&error))),
            }
        }
        Ok(())
    }

    /// What became of a job whose every byte was handed over.
    fn verdict(&self, stream: &mut TcpStream) -> Outcome {
        match self.profile.pos.confirm {
            Confirm::GsR => self.confirm_in_order(stream),
            Confirm::None if self.profile.pos.status.dle_eot => match self.ask(stream) {
                Ok(fault) => Cause::of_fault(fault).map_or(Outcome::Accepted, Outcome::Uncertain),
                Err(error) if is_silence(&error) => Outcome::Uncertain(Cause::NotConfirmed),
                Err(_) => Outcome::Uncertain(Cause::Disconnected),
            },
            Confirm::None | Confirm::ProcessId | Confirm::SunmiTransaction => Outcome::Accepted,
        }
    }

    fn confirm_in_order(&self, stream: &mut TcpStream) -> Outcome {
        let deadline = Instant::now() + self.options.confirm;
        let answer = drain(stream)
            .and_then(|()| stream.write_all(&CONFIRM_GS_R))
            .and_then(|()| {
                loop {
                    // Bits 4 and 7 are zero in an answer to GS r; real-time and automatic status set bit 4.
                    let byte = read_byte(stream, deadline)?;
                    if byte & 0x90 == 0 {
                        return Ok(());
                    }
                }
            });
        match answer {
            Ok(()) => Outcome::Printed,
            Err(error) if is_silence(&error) => Outcome::Uncertain(Cause::NotConfirmed),
            Err(_) => Outcome::Uncertain(Cause::Disconnected),
        }
    }

    /// Ends the connection in order. Reads what the printer still says: closing with unread answers would send
    /// a reset, and a reset may throw away data that the printer has not taken yet.
    fn close(&self, mut stream: TcpStream, outcome: Outcome) -> Outcome {
        let deadline = Instant::now() + self.options.linger;
        let ended = stream.shutdown(Shutdown::Write).and_then(|()| {
            loop {
                read_byte(&mut stream, deadline)?;
            }
        });
        match ended {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected
                ) =>
            {
                if outcome == Outcome::Accepted {
                    Outcome::Uncertain(Cause::Disconnected)
                } else {
                    outcome
                }
            }
            Ok(()) | Err(_) => outcome,
        }
    }
}

impl PrinterPort for TcpPort {
    fn readiness(&mut self) -> Readiness {
        self.connection = None;
        if !self.profile.pos.status.dle_eot {
            return Readiness::Unknown;
        }
        let Ok(mut stream) = self.connect() else {
            return Readiness::Blocked(Cause::Unreachable);
        };
        match self.ask(&mut stream) {
            Ok(fault) => match Cause::of_fault(fault) {
                Some(cause) => Readiness::Blocked(cause),
                None => {
                    self.connection = Some(stream);
                    Readiness::Ready
                }
            },
            Err(error) if is_silence(&error) => Readiness::Blocked(Cause::Offline),
            Err(_) => Readiness::Blocked(Cause::Unreachable),
        }
    }

    fn print(&mut self, job: &Payload<'_>) -> Outcome {
        let Some(mut stream) = self.open() else {
            return Outcome::NotStarted(Cause::Unreachable);
        };
        if let Err(outcome) = self.send(&mut stream, job.bytes) {
            return outcome;
        }
        let outcome = self.verdict(&mut stream);
        self.close(stream, outcome)
    }

    fn kick_drawer(&mut self) -> Outcome {
        let Some(bytes) = drawer_kick(&self.profile) else {
            return Outcome::NotStarted(Cause::NoDrawer);
        };
        let Some(mut stream) = self.open() else {
            return Outcome::NotStarted(Cause::Unreachable);
        };
        match self.send(&mut stream, &bytes) {
            Ok(()) => self.close(stream, Outcome::Accepted),
            Err(outcome) => outcome,
        }
    }
}

const fn failed(sent: usize, cause: Cause) -> Outcome {
    if sent == 0 {
        Outcome::NotStarted(cause)
    } else {
        Outcome::Uncertain(cause)
    }
}

fn cause_of(error: &io::Error) -> Cause {
    if is_silence(error) {
        Cause::TimedOut
    } else {
        Cause::Disconnected
    }
}

/// A read or write time-out, which Unix reports as `WouldBlock` and Windows as `TimedOut`.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn read_byte(stream: &mut TcpStream, deadline: Instant) -> io::Result<u8> {
    let mut byte = [0];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut byte) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(byte[0]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Throws away what has already arrived.
fn drain(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let mut buffer = [0; 64];
    let result = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    stream.set_nonblocking(false)?;
    result
}
