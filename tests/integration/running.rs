//! A running till whose folder was put back: the server says so, and the till goes on in a new series while it runs.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::config::Role;
use domain::entropy::Entropy;
use domain::event::{StreamReason, TenderKind};
use domain::ids::{RequestId, StoreId, TillId};
use domain::time::{Boot, Now};
use hub::Hub;
use hub_http::{Limits, Serving, Tenants, system_clock};
use ledger::Ledger;
use support::groceries;
use support::world::{CASA, CASHIER_PIN, MARSA, World, pieces};
use testkit::wait::wait_until;
use till::door::{
    Answer, Command, Enrolment, NoticeReason, Reply, Request, Status, SyncState, TenderInput,
};
use till::{Context, Till};
use till_runtime::{Handle, Runtime, RuntimeOptions};

/// For anything that has to happen at all; a loaded machine may take its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A chain, served on a port of its own.
struct Server {
    runtime: tokio::runtime::Runtime,
    serving: Serving,
    /// The same file as the one that is served.
    hub: Hub,
}

impl Server {
    fn start(folder: &Path) -> Server {
        let month = groceries::Month {
            items: (0..4).map(|number| format!("article {number}")).collect(),
            receipts: Vec::new(),
            synthetic: true,
        };
        let csv = groceries::catalogue_csv(&month, 10);
        let made = World::new(folder, &[MARSA, CASA], 0, &csv, 8).expect("a chain");
        drop(made);
        let open = |seed| {
            Hub::open(&folder.join("hub.db"), Entropy::new([seed; 32])).expect("the chain's file")
        };
        let tenants = std::sync::Arc::new(Tenants::single(open(1)));
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        let serving = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
                .await
                .expect("a port");
            let router = hub_http::routes(tenants, system_clock());
            hub_http::serve(listener, router, Limits::default()).expect("served")
        });
        Server {
            runtime,
            serving,
            hub: open(2),
        }
    }

    fn stop(self) {
        self.runtime.block_on(self.serving.shutdown());
    }
}

/// Whatever answers a till's commands: the running one, or its files opened without a network.
trait Door {
    fn ask(&mut self, command: Command) -> Answer;

    fn ok(&mut self, command: Command) -> Reply {
        match self.ask(command) {
            Answer::Ok(reply) => reply,
            Answer::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    fn sell(&mut self, number: usize) {
        let Reply::Cart(cart) = self.ok(Command::ScanCode {
            code: groceries::gtin(number),
        }) else {
            panic!("a scan answers with the cart")
        };
        self.ok(Command::Complete {
            sale: cart.sale,
            tenders: vec![TenderInput {
                kind: TenderKind::Cash,
                amount_minor: None,
                reference: None,
            }],
            approval: None,
        });
    }

    fn status(&mut self) -> Status {
        match self.ok(Command::Status {}) {
            Reply::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    fn status_when(&mut self, what: &str, test: impl Fn(&Status) -> bool) -> Status {
        wait_until(PATIENCE, what, || {
            let status = self.status();
            test(&status).then_some(status)
        })
    }

    /// Everything is with the server.
    fn synced(&mut self) -> Status {
        self.status_when("everything acknowledged", |status| {
            status.sync.unsynced == 0 && status.sync.state == SyncState::Online
        })
    }
}

impl Door for Handle {
    fn ask(&mut self, command: Command) -> Answer {
        self.command(command).expect("the till runs")
    }
}

/// The till's files without a program that talks to the server.
struct Offline(Till, Entropy);

impl Offline {
    fn context(entropy: &mut Entropy) -> Context {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a clock after 1970");
        Context {
            now: Now {
                wall_ms: i64::try_from(since.as_millis()).expect("a date"),
                boot: Boot { id: 99, ms: 1_000 },
                utc_offset_min: 60,
            },
            entropy: Entropy::new(entropy.next_bytes()),
        }
    }
}

impl Door for Offline {
    fn ask(&mut self, command: Command) -> Answer {
        let context = Offline::context(&mut self.1);
        let id = RequestId(self.1.next_uuid(context.now.wall_ms));
        self.0.handle(&Request { id, command }, context)
    }
}

fn start(data: &Path) -> (Runtime, Handle) {
    start_polling(data, 200)
}

fn start_polling(data: &Path, poll_ms: u64) -> (Runtime, Handle) {
    let options = RuntimeOptions {
        poll_ms,
        ..RuntimeOptions::new(data.to_owned(), "test")
    };
    let runtime = Runtime::start(options).expect("the till starts");
    let handle = runtime.handle();
    (runtime, handle)
}

fn enrol(server: &mut Server, till: &mut Handle) {
    let store = StoreId::new(MARSA.code).expect("store");
    let number = TillId::new("01").expect("till");
    let code = server
        .hub
        .issue_code(&store, &number, true, &system_clock()())
        .expect("a code");
    till.ok(Command::Enrol {
        server: format!("http://{}", server.serving.addr()),
        code,
    });
    till.status_when("a till that can sell", |status| {
        status.enrolment == Enrolment::Enrolled && status.ready
    });
    let Reply::Users { users } = till.ok(Command::ListUsers {}) else {
        panic!("no list of staff")
    };
    let cashier = users.iter().find(|user| user.role == Role::Cashier);
    till.ok(Command::SignIn {
        user: cashier.expect("a cashier").user,
        pin: CASHIER_PIN.to_owned(),
    });
    till.ok(Command::OpenShift {
        drawer: None,
        count: pieces(50_000, MARSA.currency).expect("a float"),
        approval: None,
    });
}

fn receipts(server: &Server) -> u64 {
    let takings = server.hub.takings(None).expect("takings");
    takings.iter().map(|row| row.receipts).sum()
}

#[test]
fn a_running_till_that_the_server_knows_better_goes_on_in_a_new_series() {
    for sold_offline in [0, 2] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Server::start(folder.path());
        let data = folder.path().join("till");
        let file = data.join("ledger.db");
        let kept = folder.path().join("kept.db");

        let (runtime, mut till) = start(&data);
        enrol(&mut server, &mut till);
        till.sell(0);
        till.synced();
        runtime.shutdown();
        std::fs::copy(&file, &kept).expect("copied");
        let (runtime, mut till) = start(&data);
        till.sell(1);
        till.synced();
        runtime.shutdown();
        std::fs::copy(&kept, &file).expect("put back");
        let stream = |path: &Path| {
            let ledger = Ledger::open_read_only(path).expect("a ledger");
            (ledger.identity().stream, ledger.identity().reason)
        };
        let (old, _) = stream(&file);
        if sold_offline > 0 {
            let mut entropy = Entropy::new([7; 32]);
            let context = Offline::context(&mut entropy);
            let opened = Till::open(&data, "test", context).expect("opened");
            let mut offline = Offline(opened, entropy);
            for number in 0..sold_offline {
                offline.sell(number);
            }
        }

        let (runtime, mut till) = start(&data);
        let told = till.status_when("a notice for the manager", |status| status.notice.is_some());
        let (reason, notice) = if sold_offline == 0 {
            (StreamReason::Restored, NoticeReason::Restored)
        } else {
            (StreamReason::Cloned, NoticeReason::Cloned)
        };
        assert_eq!(told.notice.map(|notice| notice.reason), Some(notice));
        assert!(told.shift.is_some(), "the shift goes on");
        // The engine follows the new stream without a restart.
        till.synced();
        assert_eq!(receipts(&server), 2 + sold_offline as u64);
        till.sell(2);
        till.synced();
        assert_eq!(receipts(&server), 3 + sold_offline as u64);
        runtime.shutdown();
        let (new, why) = stream(&file);
        assert_ne!(new, old);
        assert_eq!(why, reason);
        let verified = server.hub.verify().expect("verified");
        assert_eq!(verified.first_bad, None);
        server.stop();
    }
}

#[test]
fn a_till_that_hardly_polls_hears_of_what_head_office_changes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(folder.path());
    let (runtime, mut till) = start_polling(&folder.path().join("till"), 3_600_000);
    enrol(&mut server, &mut till);
    for name in ["Hanout Un", "Hanout Deux"] {
        let mut stores = server.hub.stores().expect("stores");
        let marsa = stores
            .iter_mut()
            .find(|store| store.store.as_str() == MARSA.code)
            .expect("the till's store");
        marsa.chain = name.to_owned();
        server.hub.update_store(marsa).expect("updated");
        wait_until(PATIENCE, "the new name of the chain", || {
            let status = till.status();
            status
                .store
                .is_some_and(|store| store.chain == name)
                .then_some(())
        });
    }
    runtime.shutdown();
    server.stop();
}
