//! The spooler against a printer that fails: nothing is printed twice by itself, nothing is lost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use printer::{
    Cause, Event, FilePort, Job, JobStore, Next, Outcome, Payload, PrinterPort, Readiness, Spooler,
    TcpOptions, TcpPort,
};
use receipt::document::{Block, Weight};
use receipt::profile::Confirm;
use receipt::{Bitmap, Document, Language, Profile, Profiles, Renderer};
use testkit::fake_printer::{FakePrinter, Fault, TicketEnd};

/// Jobs as a ledger would keep them; what is in here survives a crash of the program.
#[derive(Default)]
struct MemoryStore {
    jobs: BTreeMap<String, (Job, Kept)>,
    fail_claims: bool,
    fail_outcomes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Queued { attempts: u32, cause: Option<Cause> },
    Claimed { attempts: u32 },
    Done(Outcome),
}

#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error("disk full")]
    Full,
    #[error("not in the state asked for")]
    State,
}

impl MemoryStore {
    fn queue(&mut self, id: &str, document: &Document) {
        self.queue_text(id, document.to_json());
    }

    fn queue_text(&mut self, id: &str, document: String) {
        let job = Job {
            id: id.to_owned(),
            label: format!("LM-01-{id}"),
            document,
        };
        self.jobs.insert(
            id.to_owned(),
            (
                job,
                Kept::Queued {
                    attempts: 0,
                    cause: None,
                },
            ),
        );
    }

    fn state(&self, id: &str) -> Kept {
        self.jobs[id].1
    }
}

impl JobStore for MemoryStore {
    type Error = StoreError;

    fn next_queued(&mut self) -> Result<Option<Job>, StoreError> {
        Ok(self
            .jobs
            .values()
            .find(|(_, state)| matches!(state, Kept::Queued { .. }))
            .map(|(job, _)| job.clone()))
    }

    fn mark_claimed(&mut self, job: &str) -> Result<(), StoreError> {
        if self.fail_claims {
            return Err(StoreError::Full);
        }
        let state = &mut self.jobs.get_mut(job).ok_or(StoreError::State)?.1;
        let Kept::Queued { attempts, .. } = *state else {
            return Err(StoreError::State);
        };
        *state = Kept::Claimed {
            attempts: attempts + 1,
        };
        Ok(())
    }

    fn mark_outcome(&mut self, job: &str, outcome: Outcome) -> Result<(), StoreError> {
        if self.fail_outcomes {
            return Err(StoreError::Full);
        }
        let state = &mut self.jobs.get_mut(job).ok_or(StoreError::State)?.1;
        let Kept::Claimed { attempts } = *state else {
            return Err(StoreError::State);
        };
        *state = match outcome {
            Outcome::NotStarted(cause) => Kept::Queued {
                attempts,
                cause: Some(cause),
            },
            Outcome::Printed | Outcome::Accepted | Outcome::Uncertain(_) => Kept::Done(outcome),
        };
        Ok(())
    }

    fn recover_claimed(&mut self) -> Result<u64, StoreError> {
        let mut recovered = 0;
        for (_, state) in self.jobs.values_mut() {
            if matches!(state, Kept::Claimed { .. }) {
                *state = Kept::Done(Outcome::Uncertain(Cause::Interrupted));
                recovered += 1;
            }
        }
        Ok(recovered)
    }
}

fn document(lines: usize) -> Document {
    let mut document = Document::new(Language::Ar);
    document.blocks.push(Block::Title {
        text: "أطلس سبور".to_owned(),
    });
    for line in 0..lines {
        let (name, amount) = (format!("كرة قدم {line} Atlas"), format!("{line}.900"));
        document.blocks.push(Block::Item {
            name,
            detail: None,
            amount,
            discount: None,
        });
    }
    document.blocks.push(Block::Spacer { eighths: 12 });
    document.blocks.push(Block::Row {
        label: "المجموع".to_owned(),
        amount: "9.900".to_owned(),
        weight: Weight::Strong,
    });
    document
}

#[derive(Clone, Copy)]
enum Answers {
    Nothing,
    Status,
    InOrder,
}

fn profile(id: &str, answers: Answers) -> Profile {
    let mut profile = Profiles::built_in().get(id).expect("built in").clone();
    profile.pos.status.dle_eot = matches!(answers, Answers::Status);
    if matches!(answers, Answers::InOrder) {
        profile.pos.confirm = Confirm::GsR;
    }
    profile
}

/// Long enough that a slow machine does not fail the test; the short ones end waits for a silent printer.
fn options(silence: Duration) -> TcpOptions {
    let patient = Duration::from_secs(20);
    TcpOptions {
        connect: patient,
        write: silence,
        job: patient,
        status: silence,
        confirm: silence,
        linger: patient,
    }
}

const PATIENT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(100);

fn port(address: SocketAddr, profile: &Profile, silence: Duration) -> TcpPort {
    TcpPort::new(address.to_string(), profile.clone(), options(silence))
        .expect("a known confirmation")
}

fn outcome_of(event: &Event) -> Outcome {
    match event {
        Event::Finished { outcome, .. } => *outcome,
        Event::Idle | Event::Waiting | Event::Blocked { .. } => {
            panic!("no job was tried: {event:?}")
        }
    }
}

#[test]
fn paper_shows_exactly_the_dots_that_were_rendered() {
    for (id, answers, outcome, end) in [
        (
            "generic-58",
            Answers::Nothing,
            Outcome::Accepted,
            TicketEnd::Torn,
        ),
        (
            "generic-58",
            Answers::InOrder,
            Outcome::Printed,
            TicketEnd::Torn,
        ),
        (
            "generic-80",
            Answers::Nothing,
            Outcome::Accepted,
            TicketEnd::Cut,
        ),
        (
            "generic-80",
            Answers::Status,
            Outcome::Accepted,
            TicketEnd::Cut,
        ),
        (
            "generic-80",
            Answers::InOrder,
            Outcome::Printed,
            TicketEnd::Cut,
        ),
    ] {
        let profile = profile(id, answers);
        let printer = FakePrinter::start(profile.width_dots());
        let mut port = port(printer.address(), &profile, PATIENT);
        let mut store = MemoryStore::default();
        let documents = [document(3), document(30).as_copy(1)];
        store.queue("1", &documents[0]);
        store.queue("2", &documents[1]);
        let (mut spooler, recovered) = Spooler::start(profile.clone(), &mut store).expect("start");
        assert_eq!(recovered, 0);
        for _ in 0..2 {
            let step = spooler.step(&mut store, &mut port, 0).expect("step");
            assert_eq!(
                (outcome_of(&step.event), step.next),
                (outcome, Next::Now),
                "{id}"
            );
        }
        let step = spooler.step(&mut store, &mut port, 0).expect("step");
        assert_eq!((step.event, step.next), (Event::Idle, Next::WhenQueued));
        let seen = printer.wait_quiet();
        let rendered: Vec<Bitmap> = documents
            .iter()
            .map(|document| Renderer::new().render(document, profile.width_dots()))
            .collect();
        assert_eq!(seen.tickets.len(), 2, "{id}");
        for (ticket, bitmap) in seen.tickets.iter().zip(&rendered) {
            assert!(ticket.bitmap == *bitmap, "{id}: the dots differ");
            assert_eq!(ticket.end, end);
        }
        assert_eq!(seen.kicks, 0, "a receipt never opens the drawer");
        printer.assert_no_problem();
    }
}

#[test]
fn a_refused_connection_is_tried_again_with_growing_waits() {
    let profile = profile("generic-80", Answers::Nothing);
    let printer = FakePrinter::start(profile.width_dots());
    printer.set_fault(Fault::RefuseConnections);
    let mut port = port(printer.address(), &profile, PATIENT);
    let mut store = MemoryStore::default();
    store.queue("1", &document(2));
    let (mut spooler, _) = Spooler::start(profile, &mut store).expect("start");
    let mut now_ms = 5_000;
    for wait_ms in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
        let step = spooler.step(&mut store, &mut port, now_ms).expect("step");
        assert_eq!(
            outcome_of(&step.event),
            Outcome::NotStarted(Cause::Unreachable)
        );
        assert_eq!(step.next, Next::AtMs(now_ms + wait_ms));
        let early = spooler
            .step(&mut store, &mut port, now_ms + wait_ms - 1)
            .expect("step");
        assert_eq!(
            (early.event, early.next),
            (Event::Waiting, Next::AtMs(now_ms + wait_ms))
        );
        now_ms += wait_ms;
    }
    assert_eq!(
        store.state("1"),
        Kept::Queued {
            attempts: 7,
            cause: Some(Cause::Unreachable)
        }
    );
    printer.set_fault(Fault::None);
    let step = spooler.step(&mut store, &mut port, now_ms).expect("step");
    assert_eq!(outcome_of(&step.event), Outcome::Accepted);
    assert_eq!(printer.wait_quiet().tickets.len(), 1);
}

#[test]
fn a_blocked_printer_keeps_the_job_queued_and_unsent() {
    for (fault, cause) in [
        (Fault::PaperOut, Cause::PaperOut),
        (Fault::CoverOpen, Cause::CoverOpen),
        (Fault::Mute, Cause::Offline),
        (Fault::RefuseConnections, Cause::Unreachable),
    ] {
        let profile = profile("generic-80", Answers::Status);
        let printer = FakePrinter::start(profile.width_dots());
        printer.set_fault(fault);
        let mut port = port(
            printer.address(),
            &profile,
            if fault == Fault::Mute { SHORT } else { PATIENT },
        );
        let mut store = MemoryStore::default();
        store.queue("1", &document(2));
        let (mut spooler, _) = Spooler::start(profile, &mut store).expect("start");
        let step = spooler.step(&mut store, &mut port, 0).expect("step");
        assert_eq!(
            step.event,
            Event::Blocked {
                job: "1".to_owned(),
                cause
            }
        );
        let Next::AtMs(again) = step.next else {
            panic!("{:?}", step.next)
        };
        assert_eq!(
            store.state("1"),
            Kept::Queued {
                attempts: 0,
                cause: None
            },
            "never claimed"
        );
        printer.set_fault(Fault::None);
        let mut port = self::port(
            printer.address(),
            &self::profile("generic-80", Answers::Status),
            PATIENT,
        );
        let step = spooler.step(&mut store, &mut port, again).expect("step");
        assert_eq!(outcome_of(&step.event), Outcome::Accepted);
        assert_eq!(printer.wait_quiet().tickets.len(), 1, "{fault:?}");
        printer.assert_no_problem();
    }
}

#[test]
fn a_connection_cut_in_the_middle_is_uncertain_and_never_resent() {
    for limit in [1, 100, 3_000, 20_000] {
        let profile = profile("generic-80", Answers::Nothing);
        let printer = FakePrinter::start(profile.width_dots());
        printer.set_fault(Fault::ResetAfter(limit));
        let mut port = port(printer.address(), &profile, PATIENT);
        let mut store = MemoryStore::default();
        store.queue("1", &document(30));
        let (mut spooler, _) = Spooler::start(profile, &mut store).expect("start");
        let step = spooler.step(&mut store, &mut port, 0).expect("step");
        assert_eq!(
            outcome_of(&step.event),
            Outcome::Uncertain(Cause::Disconnected),
            "after {limit} bytes"
        );
        assert_eq!(
            store.state("1"),
            Kept::Done(Outcome::Uncertain(Cause::Disconnected))
        );
        printer.set_fault(Fault::None);
        assert_eq!(
            spooler
                .step(&mut store, &mut port, 1_000_000)
                .expect("step")
                .event,
            Event::Idle
        );
        let seen = printer.wait_quiet();
        assert_eq!(
            (seen.connections, seen.bytes),
            (1, limit),
            "nothing was sent again"
        );
    }
}

#[test]
fn a_printer_that_stops_taking_or_answering_is_uncertain() {
    for (answers, fault, cause) in [
        (
            Answers::InOrder,
            Fault::StallAfter(5_000),
            Cause::NotConfirmed,
        ),
        (Answers::InOrder, Fault::Mute, Cause::NotConfirmed),
        (Answers::InOrder, Fault::PaperOut, Cause::NotConfirmed),
    ] {
        let profile = profile("generic-80", answers);
        let printer = FakePrinter::start(profile.width_dots());
        printer.set_fault(fault);
        let mut options = options(SHORT);
        options.linger = SHORT;
        let mut port =
            TcpPort::new(printer.address().to_string(), profile.clone(), options).expect("known");
        let mut store = MemoryStore::default();
        store.queue("1", &document(30));
        let (mut spooler, _) = Spooler::start(profile, &mut store).expect("start");
        let step = spooler.step(&mut store, &mut port, 0).expect("step");
        assert_eq!(
            outcome_of(&step.event),
            Outcome::Uncertain(cause),
            "{fault:?}"
        );
        assert_eq!(
            spooler.step(&mut store, &mut port, 0).expect("step").event,
            Event::Idle
        );
        // The printer still holds the data: resending would have printed it twice.
        printer.set_fault(Fault::None);
        let seen = printer.wait_until("the held ticket", |state| state.tickets.len() == 1);
        assert_eq!(seen.connections, 1);
    }
}

#[test]
fn a_full_pipe_times_out_as_uncertain() {
    let profile = profile("generic-80", Answers::Nothing);
    let printer = FakePrinter::start(profile.width_dots());
    printer.set_fault(Fault::StallAfter(1_000));
    let mut port = port(printer.address(), &profile, SHORT);
    // More than the socket buffers of both sides take.
    let bytes = vec![0; 64 << 20];
    let outcome = port.print(&Payload {
        job: "1",
        label: "1",
        bitmap: &Bitmap::new(576),
        bytes: &bytes,
    });
    assert_eq!(outcome, Outcome::Uncertain(Cause::TimedOut));
}

/// A port whose process dies at the worst moment: after the bytes left, before the outcome is known.
struct CrashingPort(TcpPort);

impl PrinterPort for CrashingPort {
    fn readiness(&mut self) -> Readiness {
        self.0.readiness()
    }

    fn print(&mut self, job: &Payload<'_>) -> Outcome {
        let outcome = self.0.print(job);
        panic!("power cut after {outcome:?}");
    }

    fn kick_drawer(&mut self) -> Outcome {
        self.0.kick_drawer()
    }
}

#[test]
fn a_crash_between_claim_and_outcome_is_uncertain_and_never_resent() {
    let profile = profile("generic-80", Answers::Nothing);
    let printer = FakePrinter::start(profile.width_dots());
    let mut store = MemoryStore::default();
    store.queue("1", &document(4));
    store.queue("2", &document(5));
    let mut port = port(printer.address(), &profile, PATIENT);
    let crashed = catch_unwind(AssertUnwindSafe(|| {
        let mut crashing = CrashingPort(self::port(printer.address(), &profile, PATIENT));
        let (mut spooler, _) = Spooler::start(profile.clone(), &mut store).expect("start");
        spooler.step(&mut store, &mut crashing, 0)
    }));
    assert!(crashed.is_err());
    assert_eq!(
        store.state("1"),
        Kept::Claimed { attempts: 1 },
        "claimed before the first byte"
    );

    let (mut spooler, recovered) = Spooler::start(profile.clone(), &mut store).expect("restart");
    assert_eq!(recovered, 1);
    assert_eq!(
        store.state("1"),
        Kept::Done(Outcome::Uncertain(Cause::Interrupted))
    );
    let step = spooler.step(&mut store, &mut port, 0).expect("step");
    assert_eq!(
        step.event,
        Event::Finished {
            job: "2".to_owned(),
            outcome: Outcome::Accepted
        },
        "the queue goes on"
    );
    assert_eq!(
        spooler.step(&mut store, &mut port, 0).expect("step").event,
        Event::Idle
    );
    assert_eq!(printer.wait_quiet().tickets.len(), 2, "each came out once");
}

#[test]
fn nothing_is_sent_unless_the_claim_was_committed() {
    let profile = profile("generic-80", Answers::Nothing);
    let printer = FakePrinter::start(profile.width_dots());
    let mut port = port(printer.address(), &profile, PATIENT);
    let mut store = MemoryStore {
        fail_claims: true,
        ..MemoryStore::default()
    };
    store.queue("1", &document(4));
    let (mut spooler, _) = Spooler::start(profile, &mut store).expect("start");
    assert!(spooler.step(&mut store, &mut port, 0).is_err());
    assert_eq!(printer.state().connections, 0);
    store.fail_claims = false;
    spooler.step(&mut store, &mut port, 0).expect("step");
    assert_eq!(printer.wait_quiet().tickets.len(), 1);
}

#[test]
fn an_outcome_that_could_not_be_recorded_is_recorded_before_anything_else_is_sent() {
    let profile = profile("generic-80", Answers::Nothing);
    let printer = FakePrinter::start(profile.width_dots());
    let mut port = port(printer.address(), &profile, PATIENT);
    let mut store = MemoryStore {
        fail_outcomes: true,
        ..MemoryStore::default()
    };
    store.queue("1", &document(4));
    store.queue("2", &document(4));
    let (mut spooler, _) = Spooler::start(profile, &mut store).expect("start");
    for _ in 0..3 {
        assert!(spooler.step(&mut store, &mut port, 0).is_err());
    }
    assert_eq!(
        printer.wait_quiet().tickets.len(),
        1,
        "the second job waits"
    );
    store.fail_outcomes = false;
    let step = spooler.step(&mut store, &mut port, 0).expect("step");
    assert_eq!(
        step.event,
        Event::Finished {
            job: "1".to_owned(),
            outcome: Outcome::Accepted
        }
    );
    assert_eq!(store.state("1"), Kept::Done(Outcome::Accepted));
    spooler.step(&mut store, &mut port, 0).expect("step");
    assert_eq!(printer.wait_quiet().tickets.len(), 2);
}

#[test]
fn an_unreadable_document_goes_to_a_person_and_the_queue_goes_on() {
    let profile = profile("generic-80", Answers::Nothing);
    let printer = FakePrinter::start(profile.width_dots());
    let mut port = port(printer.address(), &profile, PATIENT);
    let mut store = MemoryStore::default();
    store.queue_text("1", "{broken".to_owned());
    store.queue("2", &document(2));
    let (mut spooler, _) = Spooler::start(profile, &mut store).expect("start");
    let first = spooler.step(&mut store, &mut port, 0).expect("step");
    assert_eq!(
        outcome_of(&first.event),
        Outcome::Uncertain(Cause::Unreadable)
    );
    let second = spooler.step(&mut store, &mut port, 0).expect("step");
    assert_eq!(outcome_of(&second.event), Outcome::Accepted);
    assert_eq!(printer.wait_quiet().tickets.len(), 1);
}

#[test]
fn the_drawer_opens_once_and_prints_nothing() {
    let profile = profile("generic-80", Answers::Nothing);
    let printer = FakePrinter::start(profile.width_dots());
    let mut port = port(printer.address(), &profile, PATIENT);
    assert_eq!(port.kick_drawer(), Outcome::Accepted);
    let seen = printer.wait_quiet();
    assert_eq!((seen.kicks, seen.tickets.len()), (1, 0));
    printer.set_fault(Fault::RefuseConnections);
    assert_eq!(port.kick_drawer(), Outcome::NotStarted(Cause::Unreachable));
    printer.set_fault(Fault::None);
    assert_eq!(printer.wait_quiet().kicks, 1);
}

#[test]
fn jobs_in_a_folder_hold_the_rendered_picture() {
    let profile = profile("generic-58", Answers::Nothing);
    let folder = tempfile::tempdir().expect("temp dir");
    let mut port = FilePort::new(folder.path().to_owned(), profile.clone());
    let mut store = MemoryStore::default();
    store.queue("1", &document(2));
    let (mut spooler, _) = Spooler::start(profile.clone(), &mut store).expect("start");
    let step = spooler.step(&mut store, &mut port, 0).expect("step");
    assert_eq!(outcome_of(&step.event), Outcome::Printed);
    let png = std::fs::read(folder.path().join("LM-01-1_1.png")).expect("picture");
    let rendered = Renderer::new().render(&document(2), profile.width_dots());
    assert!(Bitmap::from_png(&png).expect("bitmap") == rendered);
}

#[test]
fn a_folder_of_profiles_adds_to_the_built_in_ones() {
    let folder = tempfile::tempdir().expect("temp dir");
    let source =
        r#"{"id":"shop","name":"Shop","inherits":"generic-80","media":{"width":{"pixels":512}}}"#;
    std::fs::write(folder.path().join("shop.json"), source).expect("write");
    std::fs::write(folder.path().join("readme.txt"), "no profile").expect("write");
    let profiles = printer::load_folder(folder.path()).expect("valid");
    assert_eq!(profiles.get("shop").map(Profile::width_dots), Some(512));
    assert!(profiles.get("generic-58").is_some());
    std::fs::write(folder.path().join("bad.json"), "{}").expect("write");
    assert!(
        printer::load_folder(folder.path())
            .expect_err("bad")
            .to_string()
            .contains("bad")
    );
    assert!(printer::load_folder(&folder.path().join("missing")).is_ok());
}
