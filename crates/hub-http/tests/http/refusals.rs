//! Refusals of whole requests as a till meets them, status and code, and what a store is not sent at all.

use domain::ids::LocationId;
use hub_http::Limits;
use sync_protocol::{Cursor, FeedName};

use super::*;

fn asked(till: &Till, server: &Server, request: &SyncRequest) -> Reply {
    let body = serde_json::to_vec(request).expect("json");
    till.sync(server, &body, &[])
}

#[test]
fn a_cursor_from_the_future_is_gone_and_the_push_beside_it_is_kept() {
    let server = Server::start(Limits::default());
    let till = server.enrol();
    let mut request = till.opening();
    let feed = FeedName::Config(store().store);
    let from_the_future = Cursor {
        ver: 1 << 40,
        pk: String::new(),
    };
    request.cursors.insert(feed.clone(), from_the_future);
    let reply = asked(&till, &server, &request);
    assert_eq!(
        (reply.status, reply.error()),
        (410, ProtocolError::CursorExpired { feed })
    );
    request.push = None;
    request.cursors.clear();
    let reply = asked(&till, &server, &request);
    assert_eq!(reply.status, 200);
    let reply: SyncReply = serde_json::from_slice(&reply.body).expect("reply");
    assert_eq!(reply.ack_seq, 1);
}

#[test]
fn a_frame_that_ends_early_is_unreadable_wherever_it_ends() {
    let server = Server::start(Limits::default());
    let till = server.enrol();
    let body = serde_json::to_vec(&till.opening()).expect("json");
    let whole = zstd::bulk::compress(&body, 3).expect("compress");
    let zstd = [("content-encoding", "zstd")];
    for length in [1, 3, 4, 8, whole.len() / 2, whole.len() - 1] {
        let reply = till.sync(&server, &whole[..length], &zstd);
        let error = reply.error();
        assert_eq!(reply.status, 422, "{length}: {error:?}");
        assert!(
            matches!(error, ProtocolError::Unreadable { .. }),
            "{length}: {error:?}"
        );
    }
    let reply = till.sync(&server, &whole, &zstd);
    assert_eq!(reply.status, 200);
}

#[test]
fn a_version_is_agreed_on_when_a_till_enrols() {
    let server = Server::start(Limits::default());
    let key = SigningKey::from_bytes(&[7; 32]);
    let enrol = |protocols: &[u32]| {
        let request = EnrolRequest {
            code: server.code.clone(),
            key_algorithm: KeyAlgorithm::Ed25519,
            public_key: public_key(&key),
            app: "test".to_owned(),
            protocols: protocols.to_vec(),
        };
        let body = serde_json::to_vec(&request).expect("json");
        server.call("POST /v1/enrol", &[], &body)
    };
    for refused in [&[][..], &[0], &[PROTOCOL + 1], &[PROTOCOL + 1, u32::MAX]] {
        let reply = enrol(refused);
        assert_eq!(
            (reply.status, reply.error()),
            (426, ProtocolError::Upgrade),
            "{refused:?}"
        );
    }
    // The code was not used up by the refusals, and one common version is enough.
    let reply = enrol(&[PROTOCOL, PROTOCOL + 1]);
    assert_eq!(reply.status, 200);
    let enrolled = match serde_json::from_slice(&reply.body).expect("reply") {
        EnrolReply::Enrolled(enrolled) => *enrolled,
        EnrolReply::Pending { .. } => panic!("the code was confirmed beforehand"),
    };
    // A request in a version that was not agreed on is refused whole: its push is not taken.
    let till = Till { enrolled, key };
    let mut request = till.opening();
    request.protocol = PROTOCOL + 1;
    let reply = asked(&till, &server, &request);
    assert_eq!((reply.status, reply.error()), (426, ProtocolError::Upgrade));
    request.protocol = PROTOCOL;
    request.push = None;
    let reply = asked(&till, &server, &request);
    assert_eq!(reply.status, 200);
    let reply: SyncReply = serde_json::from_slice(&reply.body).expect("reply");
    assert_eq!(reply.ack_seq, 0);
}

#[test]
fn a_reply_holds_neither_configuration_nor_prices_of_another_store() {
    const ELSEWHERE: &str = "Rue d'ailleurs";
    let server = Server::start_with(Limits::default(), |hub, _| {
        let other = StoreConfig {
            store: StoreId::new("TC").expect("store"),
            location: LocationId::new("TC").expect("location"),
            price_list: PriceListId::new("TC").expect("list"),
            address: vec![ELSEWHERE.to_owned()],
            ..store()
        };
        hub.create_store(&other).expect("store");
    });
    let till = server.enrol();
    let mut request = till.opening();
    // Asking for them by name changes nothing.
    for feed in ["cfg:TC", "price:TC"] {
        let feed: FeedName = feed.parse().expect("a feed");
        request.cursors.insert(feed, Cursor::default());
    }
    let reply = asked(&till, &server, &request);
    assert_eq!(reply.status, 200);
    let text = String::from_utf8(reply.body.clone()).expect("utf-8");
    assert!(!text.contains(ELSEWHERE), "{text}");
    let reply: SyncReply = serde_json::from_slice(&reply.body).expect("reply");
    let followed: Vec<String> = reply.feeds.iter().map(ToString::to_string).collect();
    // What lies in the other store is shown on purpose, so that a shopper can be sent there.
    assert_eq!(
        followed,
        ["cfg:LM", "cat", "price:TN", "stock:LM", "stock:TC"]
    );
    assert!(!reply.pages.is_empty());
    for page in &reply.pages {
        let feed = page.feed.to_string();
        assert!(followed.contains(&feed), "{feed}");
    }
}
