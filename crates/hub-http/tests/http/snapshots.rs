//! Large feeds as files over real sockets: named in the reply, fetched in parts, and only by who may read them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use domain::config::{Rate, TaxRate};
use domain::ids::{Digest, PriceListId, TaxCategory, TillId};
use hub::import::ImportOptions;
use hub::{Hub, NewTenant};
use hub_http::Limits;
use sha2::{Digest as _, Sha256};
use sync_protocol::{Cursor, FeedName, FeedPage, ProtocolError, Snapshot, SyncReply};

use super::{Entropy, Reply, Server, StoreConfig, StoreId, TenantId, Till, now, store};

/// Styles of one variant each: twice as many rows of the catalogue, and as many prices.
const VARIANTS: usize = 4_100;

fn taxed(store: StoreConfig) -> StoreConfig {
    StoreConfig {
        taxes: vec![TaxRate {
            category: TaxCategory::new("standard").expect("tax"),
            rate: Rate::percent(19.into()).expect("rate"),
            from: "2018-01-01".parse().expect("date"),
            to: None,
            basis: String::new(),
        }],
        ..store
    }
}

fn elsewhere() -> StoreConfig {
    StoreConfig {
        store: StoreId::new("TC").expect("store"),
        location: super::LocationId::new("TC").expect("location"),
        price_list: PriceListId::new("TN2").expect("list"),
        ..taxed(store())
    }
}

fn import(hub: &mut Hub, from: usize, to: usize) {
    let mut csv = "style,name_fr,tax,sku,price:TN\n".to_owned();
    for n in from..to {
        writeln!(csv, "S{n},Article {n},standard,SKU-{n},{}.500", n + 1).expect("text");
    }
    let options = ImportOptions {
        dry_run: false,
        valid_from: "2026-01-01".parse().expect("date"),
        price_list: None,
        tax: TaxCategory::new("standard").expect("tax"),
        opening_stock: false,
        stock_location: None,
    };
    let report = hub
        .import(csv.as_bytes(), &options, &now(), &mut |_, _| {})
        .expect("import");
    assert!(report.applied, "{:?}", report.errors);
}

/// A chain with a large catalogue and a second store with prices of its own.
fn large() -> (Server, Till) {
    let server = Server::start_with(Limits::default(), |hub, _| {
        hub.update_store(&taxed(store())).expect("store");
        hub.create_store(&elsewhere()).expect("store");
        import(hub, 0, VARIANTS);
    });
    let till = server.enrol();
    (server, till)
}

/// The tenant's file opened beside the server, as the command line does; `seed` makes its ids differ.
fn open(server: &Server, seed: u8) -> Hub {
    Hub::open(&server.dir.path().join("t.db"), Entropy::new([seed; 32])).expect("hub")
}

fn files(server: &Server) -> Vec<PathBuf> {
    let folder = server.dir.path().join("t.snapshots");
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.map(|entry| entry.expect("entry").path()).collect()
}

fn price() -> FeedName {
    "price:TN".parse().expect("feed")
}

impl Till {
    /// What the server answers to a till that would fetch `snapshots`; `at` is where it has read the catalogue.
    fn ask(&self, server: &Server, snapshots: &[FeedName], at: Option<Cursor>) -> SyncReply {
        let mut request = self.opening();
        request.snapshots = snapshots.iter().cloned().collect::<BTreeSet<_>>();
        request
            .cursors
            .extend(at.map(|at| (FeedName::Catalogue, at)));
        let reply = self.sync(server, &serde_json::to_vec(&request).expect("json"), &[]);
        assert_eq!(
            reply.status,
            200,
            "{:?}",
            String::from_utf8_lossy(&reply.body)
        );
        serde_json::from_slice(&reply.body).expect("reply")
    }

    fn catalogue(&self, server: &Server) -> Snapshot {
        let mut reply = self.ask(server, &[FeedName::Catalogue], None);
        assert_eq!(reply.snapshots.len(), 1);
        reply.snapshots.remove(0)
    }

    fn fetch(&self, server: &Server, digest: &str, more: &[(&str, &str)]) -> Reply {
        let headers = self.headers(b"");
        let mut all: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        all.extend(more);
        server.call(&format!("GET /v1/snapshot/{digest}"), &all, b"")
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

#[test]
fn a_large_feed_is_fetched_in_parts_and_pages_go_on_from_it() {
    let (server, till) = large();
    let reply = till.ask(&server, &[FeedName::Catalogue, price()], None);
    let feeds: Vec<FeedName> = reply.snapshots.iter().map(|s| s.feed.clone()).collect();
    assert_eq!(feeds, [FeedName::Catalogue, price()]);
    // Their rows do not come a second time, and the other feeds come as ever.
    for page in &reply.pages {
        let is_named = feeds.contains(&page.feed);
        assert_eq!(page.more, is_named, "{}", page.feed);
        assert!(!is_named || page.rows.is_empty(), "{}", page.feed);
    }
    assert!(reply.pages.iter().any(|page| !page.rows.is_empty()));

    for snapshot in &reply.snapshots {
        let digest = snapshot.digest.to_string();
        let tag = format!("\"{digest}\"");
        let mut file: Vec<u8> = Vec::new();
        let step = snapshot.bytes / 3 + 1;
        while (file.len() as u64) < snapshot.bytes {
            let from = file.len() as u64;
            let range = format!("bytes={from}-{}", from + step - 1);
            let part = till.fetch(&server, &digest, &[("range", &range), ("if-range", &tag)]);
            assert_eq!(part.status, 206);
            let end = from + part.body.len() as u64;
            let expected = format!("bytes {from}-{}/{}", end - 1, snapshot.bytes);
            assert_eq!(part.headers["content-range"], expected);
            assert_eq!(end, (from + step).min(snapshot.bytes));
            file.extend(part.body);
        }
        assert_eq!(sha256(&file), snapshot.digest);
        let json = zstd::bulk::decompress(&file, snapshot.decoded as usize).expect("zstd");
        assert_eq!(json.len() as u64, snapshot.decoded);
        let page: FeedPage = serde_json::from_slice(&json).expect("page");
        assert_eq!(
            (&page.feed, page.ver, page.more),
            (&snapshot.feed, snapshot.ver, false)
        );
        assert!(page.rows.len() >= VARIANTS);
        let sum = page.rows.iter().fold(0, |sum, row| {
            let text = row.row.as_ref().expect("only live rows").get();
            sync_protocol::feed::checksum_add(sum, sync_protocol::feed::row_checksum(&row.pk, text))
        });
        assert_eq!(page.checksum, Some(sum));
        if page.feed == FeedName::Catalogue {
            // Nothing is left after it, and then exactly what is new.
            let reply = till.ask(&server, &[FeedName::Catalogue], Some(page.next.clone()));
            assert!(reply.snapshots.is_empty());
            assert!(
                reply
                    .pages
                    .iter()
                    .all(|page| page.feed != FeedName::Catalogue)
            );
            import(&mut open(&server, 3), VARIANTS, VARIANTS + 1);
            let mut reply = till.ask(&server, &[FeedName::Catalogue], Some(page.next.clone()));
            assert!(reply.snapshots.is_empty());
            reply.pages.retain(|page| page.feed == FeedName::Catalogue);
            assert_eq!((reply.pages.len(), reply.pages[0].rows.len()), (1, 2));
        }
    }
}

#[test]
fn a_snapshot_says_that_it_never_changes_and_what_part_it_has() {
    let (server, till) = large();
    let snapshot = till.catalogue(&server);
    let digest = snapshot.digest.to_string();
    let whole = till.fetch(&server, &digest, &[]);
    assert_eq!((whole.status, sha256(&whole.body)), (200, snapshot.digest));
    assert_eq!(whole.headers["etag"], format!("\"{digest}\""));
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    assert_eq!(
        whole.headers["cache-control"],
        "private, max-age=31536000, immutable"
    );
    assert_eq!(whole.headers["content-type"], "application/zstd");
    assert!(!whole.headers.contains_key("content-encoding"));
    // The part that the caller has is of something else.
    let other = till.fetch(
        &server,
        &digest,
        &[("range", "bytes=5-"), ("if-range", "\"other\"")],
    );
    assert_eq!((other.status, other.body.len()), (200, whole.body.len()));
    let behind = format!("bytes={}-", snapshot.bytes);
    let reply = till.fetch(&server, &digest, &[("range", &behind)]);
    let bytes = snapshot.bytes;
    assert_eq!(
        (reply.status, reply.error()),
        (416, ProtocolError::BadRange { bytes })
    );
    assert_eq!(reply.headers["content-range"], format!("bytes */{bytes}"));
}

#[test]
fn who_knows_no_snapshots_or_has_begun_or_follows_little_gets_pages() {
    let (server, till) = large();
    let rows_of = |reply: &SyncReply, feed: &FeedName| -> usize {
        let pages = reply.pages.iter().filter(|page| page.feed == *feed);
        pages.map(|page| page.rows.len()).sum()
    };
    let old = till.ask(&server, &[], None);
    assert!(old.snapshots.is_empty() && rows_of(&old, &FeedName::Catalogue) > 0);
    let next = old
        .pages
        .iter()
        .find(|page| page.feed == FeedName::Catalogue);
    let begun = till.ask(
        &server,
        &[FeedName::Catalogue],
        next.map(|page| page.next.clone()),
    );
    assert!(begun.snapshots.is_empty() && rows_of(&begun, &FeedName::Catalogue) > 0);
    // Small feeds, those of one store, and those that it does not follow.
    let feeds = ["cfg:LM", "stock:LM", "price:TN2", "cfg:TC"].map(|f| f.parse().expect("feed"));
    let none = till.ask(&server, &feeds, None);
    assert!(none.snapshots.is_empty());
    assert!(files(&server).is_empty());
}

#[test]
fn a_snapshot_is_only_for_who_may_read_its_feed() {
    let (server, till) = large();
    let mut reply = till.ask(&server, &[price()], None);
    let prices = reply.snapshots.remove(0).digest.to_string();
    assert_eq!(till.fetch(&server, &prices, &[]).status, 200);
    let refused = |reply: Reply| (reply.status, reply.error());
    let unknown = (404, ProtocolError::NoSnapshot);
    assert_eq!(refused(till.fetch(&server, &"00".repeat(32), &[])), unknown);

    // A till of the same chain whose store has other prices.
    let number = TillId::new("01").expect("till");
    let code = open(&server, 5)
        .issue_code(&elsewhere().store, &number, true, &now())
        .expect("code");
    let neighbour = server.enrol_with(&code, 8);
    assert_eq!(refused(neighbour.fetch(&server, &prices, &[])), unknown);
    assert_eq!(
        refused(neighbour.fetch(&server, &prices, &[("range", "bytes=0-9")])),
        unknown
    );

    // One of another chain.
    let new = NewTenant {
        tenant: TenantId::new("u").expect("tenant"),
        chain: "Other".to_owned(),
    };
    let path = server.dir.path().join("u.db");
    let mut hub = Hub::create(&path, &new, &now(), Entropy::new([4; 32])).expect("hub");
    hub.create_store(&store()).expect("store");
    let code = hub
        .issue_code(&store().store, &number, true, &now())
        .expect("code");
    let stranger = server.enrol_with(&code, 9);
    assert_eq!(refused(stranger.fetch(&server, &prices, &[])), unknown);

    // No token, no key, and no longer a till.
    let path = format!("GET /v1/snapshot/{prices}");
    let none = (401, ProtocolError::Unauthorised);
    assert_eq!(refused(server.call(&path, &[], b"")), none);
    let headers = till.headers(b"something else");
    let forged: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    assert_eq!(refused(server.call(&path, &forged, b"")), none);
    open(&server, 6)
        .revoke_device(
            till.enrolled.device,
            domain::event::SealReason::Lost,
            &now(),
        )
        .expect("revoke");
    assert_eq!(
        refused(till.fetch(&server, &prices, &[])),
        (403, ProtocolError::Revoked)
    );
}

#[test]
fn a_snapshot_is_built_once_mended_when_damaged_and_few_are_kept() {
    let (server, till) = large();
    let first = till.catalogue(&server);
    let kept = files(&server);
    assert_eq!(kept.len(), 1);
    let written = |path: &PathBuf| {
        let meta = std::fs::metadata(path).expect("file");
        meta.modified().expect("time")
    };
    let before = written(&kept[0]);
    assert_eq!(till.catalogue(&server), first);
    assert_eq!((files(&server), written(&kept[0])), (kept.clone(), before));

    // Cut short by a crash of the machine: the same again, from the same rows.
    let whole = std::fs::read(&kept[0]).expect("file");
    std::fs::write(&kept[0], &whole[..whole.len() / 2]).expect("cut");
    assert_eq!(till.catalogue(&server), first);
    assert_eq!(std::fs::read(&kept[0]).expect("file"), whole);

    let mut digests = vec![first.digest];
    let mut hub = open(&server, 3);
    for round in 0..3 {
        import(&mut hub, VARIANTS + round, VARIANTS + round + 1);
        let next = till.catalogue(&server);
        assert!(!digests.contains(&next.digest));
        digests.push(next.digest);
        assert!(files(&server).len() <= 2);
    }
    // The newest and the one before can still be fetched.
    let status = |digest: &Digest| till.fetch(&server, &digest.to_string(), &[]).status;
    let statuses: Vec<u16> = digests.iter().map(status).collect();
    assert_eq!(statuses, [404, 404, 200, 200]);
}
