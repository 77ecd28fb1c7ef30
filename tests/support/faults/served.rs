//! A running `hanout-till serve`: the whole program as its users have it, with its disk, its threads and its
//! loopback HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command as Program, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use domain::entropy::Entropy;
use domain::ids::RequestId;
use till::door::{Answer, Command, Reply, Request};

/// For anything that has to happen at all; a loaded machine may take its time.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One connection to the door.
struct Door {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    token: String,
}

/// The process; killed when dropped.
pub struct Served {
    child: Child,
    out: Option<BufReader<ChildStdout>>,
    door: Option<Door>,
    drawn: u64,
}

/// `program serve` on `folder`, with its witness in a folder of the caller's.
pub fn program(program: &Path, folder: &Path, witness: &Path) -> Program {
    let mut command = Program::new(program);
    command
        .arg("serve")
        .arg("--data")
        .arg(folder)
        .args(["--listen", "127.0.0.1:0"])
        .env_remove("HANOUT_LOG")
        .env("HANOUT_WITNESS_DIR", witness);
    command
}

/// The same under a wall clock that reads `time`, in the words of `faketime`; the clock since boot stays right. The
/// library is loaded without the command of that name, which would start the program as a child of its own.
pub fn program_at(time: &str, real: &Path, folder: &Path, witness: &Path) -> Program {
    let mut command = program(real, folder, witness);
    command
        .env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1")
        .env("FAKETIME", time)
        .env("TZ", "UTC")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    command
}

impl Served {
    /// Starts it; it may not be ready yet.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(mut command: Program) -> Result<Served> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} starts", command.get_program().display()))?;
        let out = child.stdout.take().map(BufReader::new);
        Ok(Served {
            child,
            out,
            door: None,
            drawn: 0,
        })
    }

    /// Waits for the line that says where the door is, and connects.
    ///
    /// # Errors
    /// When it ended instead.
    pub fn ready(&mut self) -> Result<()> {
        let mut line = String::new();
        let out = self.out.as_mut().context("a pipe")?;
        out.read_line(&mut line)?;
        let said: serde_json::Value = serde_json::from_str(&line)
            .with_context(|| format!("the till did not start: {line:?}"))?;
        let text = |name: &str| said[name].as_str().context("an announcement");
        let address: SocketAddr = text("url")?
            .strip_prefix("http://")
            .context("a loopback address")?
            .parse()?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        self.door = Some(Door {
            stream: BufReader::new(stream),
            address,
            token: text("token")?.to_owned(),
        });
        Ok(())
    }

    /// Sends a request and does not wait for its answer.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn send(&mut self, request: &Request) -> Result<()> {
        let door = self.door.as_mut().context("the door is open")?;
        let body = serde_json::to_string(request)?;
        let text = format!(
            "POST /api/call HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            door.address,
            door.token,
            body.len()
        );
        Ok(door.stream.get_mut().write_all(text.as_bytes())?)
    }

    /// Reads the answer to the last request: a 200 with an answer of the till in it, whole.
    ///
    /// # Errors
    /// When it does not come, or is of another kind.
    pub fn read(&mut self) -> Result<Answer> {
        let door = self.door.as_mut().context("the door is open")?;
        let mut line = String::new();
        door.stream.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 200 "), "answered with {line:?}");
        let mut length = None;
        loop {
            line.clear();
            ensure!(door.stream.read_line(&mut line)? > 0, "the head broke off");
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = Some(value.trim().parse::<usize>()?);
            }
        }
        let mut body = vec![0; length.context("a length")?];
        door.stream.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Sends a command under an id of its own and reads the answer.
    ///
    /// # Errors
    /// When none comes.
    pub fn call(&mut self, command: Command) -> Result<Answer> {
        self.drawn += 1;
        let mut seed = [0xCA; 32];
        seed[16..20].copy_from_slice(&self.child.id().to_be_bytes());
        seed[24..].copy_from_slice(&self.drawn.to_be_bytes());
        let id = RequestId(Entropy::new(seed).next_uuid(0));
        self.send(&Request { id, command })?;
        self.read()
    }

    /// Sends a command that must succeed.
    ///
    /// # Errors
    /// With the refusal.
    pub fn ok(&mut self, command: Command) -> Result<Reply> {
        let shown = format!("{command:?}");
        match self.call(command)? {
            Answer::Ok(reply) => Ok(reply),
            Answer::Refused(refusal) => bail!("{shown} was refused: {refusal:?}"),
        }
    }

    /// Its id.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as the kernel would: at once.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it as an operator would.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn stop(mut self) -> Result<()> {
        signal(self.child.id(), "TERM")?;
        let status: ExitStatus = self.child.wait()?;
        ensure!(status.success(), "the till ended with {status}");
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to one process.
///
/// # Errors
/// When there is none.
pub fn signal(process: u32, name: &str) -> Result<()> {
    let sent = Program::new("kill")
        .args([format!("-{name}"), process.to_string()])
        .status()?;
    ensure!(sent.success(), "no process {process}");
    Ok(())
}
