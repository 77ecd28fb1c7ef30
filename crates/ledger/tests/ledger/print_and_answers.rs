//! Print jobs and stored answers: durable with the sale, and no more than needed.

use domain::ids::{Digest, JobId, RequestId};
use ledger::{
    Ledger, LedgerError, NewPrintJob, PrintFilter, PrintKind, PrintState, PrintUpdate, StoredAnswer,
};
use uuid::Uuid;

use crate::support::{Desk, Place, WALL, create, options};

fn job(number: u128) -> NewPrintJob {
    NewPrintJob {
        job: JobId(Uuid::from_u128(number)),
        kind: PrintKind::Receipt,
        number: format!("LM-01-{number}"),
        document: "{}".to_owned(),
        copy: 0,
        wall: WALL,
    }
}

fn queue(desk: &mut Desk, number: u128) -> JobId {
    let new = job(number);
    desk.ledger.write(|tx| tx.queue_print(&new)).expect("queue");
    new.job
}

fn mark(desk: &mut Desk, job: JobId, update: &PrintUpdate) -> Result<(), LedgerError> {
    desk.ledger.write(|tx| tx.mark_print(job, update))
}

#[test]
fn jobs_come_out_in_order_and_keep_their_story() {
    let mut desk = Desk::in_memory();
    assert_eq!(desk.ledger.next_print_job().expect("next"), None);
    let first = queue(&mut desk, 1);
    let second = queue(&mut desk, 2);
    let next = desk.ledger.next_print_job().expect("next").expect("job");
    assert_eq!(
        (next.job, next.state, next.attempts),
        (first, PrintState::Queued, 0)
    );
    mark(&mut desk, first, &PrintUpdate::Claimed).expect("claim");
    assert_eq!(
        desk.ledger
            .next_print_job()
            .expect("next")
            .expect("job")
            .job,
        second
    );

    let again = PrintUpdate::Queued {
        cause: Some("no paper".to_owned()),
        not_before_wall: Some(WALL + 5_000),
    };
    mark(&mut desk, first, &again).expect("queue again");
    let next = desk.ledger.next_print_job().expect("next").expect("job");
    assert_eq!((next.job, next.attempts), (first, 1), "its turn is kept");
    assert_eq!(
        (next.cause.as_deref(), next.not_before_wall),
        (Some("no paper"), Some(WALL + 5_000))
    );

    mark(&mut desk, first, &PrintUpdate::Claimed).expect("claim");
    mark(&mut desk, first, &PrintUpdate::Printed).expect("printed");
    mark(&mut desk, second, &PrintUpdate::Claimed).expect("claim");
    let unsure = PrintUpdate::Uncertain {
        cause: "silence".to_owned(),
    };
    mark(&mut desk, second, &unsure).expect("uncertain");
    assert_eq!(
        desk.ledger.next_print_job().expect("next"),
        None,
        "nothing repeats by itself"
    );
    let states: Vec<_> = desk
        .ledger
        .print_jobs(PrintFilter::Latest(9))
        .expect("jobs")
        .iter()
        .map(|job| (job.job, job.state, job.attempts))
        .collect();
    assert_eq!(
        states,
        [
            (second, PrintState::Uncertain, 1),
            (first, PrintState::Printed, 2)
        ]
    );
    let pending = desk.ledger.print_jobs(PrintFilter::Pending).expect("jobs");
    assert_eq!(
        pending.iter().map(|job| job.job).collect::<Vec<_>>(),
        [second]
    );
    desk.assert_sound();
}

#[test]
fn only_honest_changes_of_state_are_allowed() {
    let updates = [
        PrintUpdate::Claimed,
        PrintUpdate::Printed,
        PrintUpdate::Accepted,
        PrintUpdate::Uncertain {
            cause: String::new(),
        },
        PrintUpdate::Queued {
            cause: None,
            not_before_wall: None,
        },
        PrintUpdate::Cancelled,
    ];
    // Ways to reach a state, and which of the updates above it allows.
    for (name, way, allowed) in [
        ("queued", vec![], [true, false, false, false, false, true]),
        ("claimed", vec![0], [false, true, true, true, true, true]),
        (
            "uncertain",
            vec![0, 3],
            [false, true, false, false, true, true],
        ),
        ("printed", vec![0, 1], [false; 6]),
        ("accepted", vec![0, 2], [false; 6]),
        ("cancelled", vec![5], [false; 6]),
    ] {
        for (index, allowed) in allowed.into_iter().enumerate() {
            let mut desk = Desk::in_memory();
            let job = queue(&mut desk, 1);
            for step in &way {
                mark(&mut desk, job, &updates[*step]).expect(name);
            }
            let result = mark(&mut desk, job, &updates[index]);
            assert_eq!(result.is_ok(), allowed, "{name} -> {:?}", updates[index]);
        }
    }
    let unknown = mark(
        &mut Desk::in_memory(),
        JobId(Uuid::nil()),
        &PrintUpdate::Claimed,
    );
    assert!(matches!(
        unknown,
        Err(LedgerError::PrintState { to: "claimed" })
    ));
}

#[test]
fn a_claimed_job_is_still_claimed_after_a_restart() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &options()));
    let claimed = queue(&mut desk, 1);
    mark(&mut desk, claimed, &PrintUpdate::Claimed).expect("claim");
    drop(desk);
    let ledger = Ledger::open(&place.path, &options()).expect("open");
    let job = ledger.print_job(claimed).expect("read").expect("job");
    assert_eq!(
        (job.state, job.kind),
        (PrintState::Claimed, PrintKind::Receipt)
    );
}

#[test]
fn finished_jobs_do_not_pile_up() {
    let mut desk = Desk::in_memory();
    let stuck = queue(&mut desk, 1);
    desk.ledger
        .write(|tx| {
            for number in 2..=10_300_u128 {
                tx.queue_print(&job(number))?;
                tx.mark_print(JobId(Uuid::from_u128(number)), &PrintUpdate::Cancelled)?;
            }
            Ok::<_, LedgerError>(())
        })
        .expect("jobs");
    let kept = desk
        .ledger
        .print_jobs(PrintFilter::Latest(u32::MAX))
        .expect("jobs")
        .len();
    assert!((10_000..10_100).contains(&kept), "{kept}");
    assert!(
        desk.ledger.print_job(stuck).expect("read").is_some(),
        "a pending job is never dropped"
    );
}

#[test]
fn the_same_request_gets_the_same_answer_after_a_restart_too() {
    let place = Place::new();
    let mut desk = Desk::new(create(&place.path, &options()));
    let request = RequestId(Uuid::from_u128(1));
    let digest = Digest([4; 32]);
    assert_eq!(desk.ledger.answer(request).expect("answer"), None);
    desk.ledger
        .write(|tx| tx.store_answer(request, digest, "{\"ok\":1}", WALL))
        .expect("store");
    let again = desk
        .ledger
        .write(|tx| tx.store_answer(request, digest, "{\"ok\":2}", WALL));
    assert!(
        matches!(again, Err(LedgerError::OutOfPlace { .. })),
        "{again:?}"
    );
    drop(desk);
    let ledger = Ledger::open(&place.path, &options()).expect("open");
    let answer = "{\"ok\":1}".to_owned();
    assert_eq!(
        ledger.answer(request).expect("answer"),
        Some(StoredAnswer { digest, answer })
    );
}

#[test]
fn old_answers_go_unless_they_are_few() {
    let day_ms = 24 * 3_600_000;
    let mut desk = Desk::in_memory();
    let mut store = |from: u128, to: u128, wall: i64| {
        desk.ledger
            .write(|tx| {
                for number in from..to {
                    let request = RequestId(Uuid::from_u128(number));
                    tx.store_answer(request, Digest([0; 32]), "", wall)?;
                }
                Ok::<_, LedgerError>(())
            })
            .expect("answers");
    };
    store(0, 5_000, WALL);
    // A clock that jumps a year ahead makes every answer old, yet the recent ones stay.
    store(5_000, 6_000, WALL + 365 * day_ms);
    store(6_000, 20_000, WALL + 31 * day_ms);
    let known = |number: u128| {
        let request = RequestId(Uuid::from_u128(number));
        desk.ledger.answer(request).expect("answer").is_some()
    };
    assert!(!known(0) && !known(4_999), "older than 30 days");
    assert!(known(5_500) && known(12_000) && known(19_999));
}

#[test]
fn notes_are_kept_and_replaced() {
    let mut desk = Desk::in_memory();
    assert_eq!(desk.ledger.local("pin").expect("note"), None);
    for value in ["1", "2"] {
        desk.ledger
            .write(|tx| tx.set_local("pin", value))
            .expect("set");
        assert_eq!(
            desk.ledger.local("pin").expect("note").as_deref(),
            Some(value)
        );
    }
}
