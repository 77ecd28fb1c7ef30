//! The real program as a child process, and plain HTTP by hand.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// For anything that has to happen at all; a loaded machine may take its time.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running `hanout-till serve`; killed when dropped.
pub struct Till {
    child: Child,
    pub address: SocketAddr,
    pub token: String,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hanout-till"));
    command.stdin(Stdio::null()).env_remove("HANOUT_LOG").env(
        "HANOUT_WITNESS_DIR",
        concat!(env!("CARGO_TARGET_TMPDIR"), "/witness"),
    );
    command
}

/// Runs to its end.
pub fn run(arguments: &[&str]) -> Output {
    program()
        .args(arguments)
        .output()
        .expect("the program runs")
}

impl Till {
    pub fn start(data: &Path, more: &[&str]) -> Till {
        Till::start_as(program(), data, more)
    }

    /// Starts `program`, which may have an environment and a standard error of its own.
    pub fn start_as(mut program: Command, data: &Path, more: &[&str]) -> Till {
        let mut child = program
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let announcement: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let url = announcement["url"].as_str().expect("url");
        let address = url
            .strip_prefix("http://")
            .expect("http")
            .parse()
            .expect("address");
        Till {
            child,
            address,
            token: announcement["token"].as_str().expect("token").to_owned(),
        }
    }

    /// Ends the program as an operator would, and checks that it ended well.
    pub fn stop(mut self) {
        let stopped = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(stopped.expect("kill runs").success());
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}");
    }

    /// Ends the program as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let host = self.address.to_string();
        let has_host = headers.iter().any(|(name, _)| *name == "host");
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        if !has_host {
            head.push_str(&format!("host: {host}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut socket = TcpStream::connect(self.address).expect("connected");
        socket.set_read_timeout(Some(PATIENCE)).expect("time-out");
        socket.write_all(head.as_bytes()).expect("sent");
        // A server that refuses early may close before it has read everything.
        let _ = socket.write_all(body);
        let mut bytes = Vec::new();
        let _ = socket.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).expect("text");
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("status");
        Reply {
            status,
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    pub fn post(&self, body: &str) -> Reply {
        let bearer = format!("Bearer {}", self.token);
        self.send(
            "POST",
            "/api/call",
            &[
                ("authorization", &bearer),
                ("content-type", "application/json"),
            ],
            body.as_bytes(),
        )
    }

    /// Calls with a given id; the whole answer.
    pub fn call_as(&self, id: &str, command: &Value) -> Value {
        let reply = self.post(&json!({ "id": id, "command": command }).to_string());
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    /// Calls under a fresh id; the whole answer.
    pub fn call(&self, command: &Value) -> Value {
        self.call_as(&fresh_id(), command)
    }

    /// Calls under a fresh id and wants the reply.
    pub fn ok(&self, command: &Value) -> Value {
        let answer = self.call(command);
        assert!(answer["ok"].is_object(), "{command} -> {answer}");
        answer["ok"].clone()
    }

    pub fn status(&self) -> Value {
        self.ok(&json!({ "type": "Status" }))
    }
}

impl Drop for Till {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn fresh_id() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!(
        "0190aaaa-0000-4000-8000-{:012x}",
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
