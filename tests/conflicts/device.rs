//! A device of a later version, or of somebody else: it writes its own stream and sends whatever it likes.

use std::collections::BTreeMap;

use domain::config::KeyAlgorithm;
use domain::entropy::Entropy;
use domain::event::{Event, Fact, StreamOpened, StreamPos, StreamReason, chain_hash, genesis_hash};
use domain::ids::{Digest, EventId, StreamId, TillId};
use domain::time::Hlc;
use ed25519_dalek::SigningKey;
use serde_json::value::RawValue;
use support::world::Shop;
use sync_protocol::{
    DeviceStatus, EnrolReply, EnrolRequest, Enrolled, PROTOCOL, ProtocolError, Push, SyncReply,
    SyncRequest, sign,
};

use crate::chain::Chain;

pub struct Device {
    pub enrolled: Enrolled,
    pub stream: StreamId,
    key: SigningKey,
    events: Vec<String>,
    entropy: Entropy,
    hlc: Hlc,
}

impl Device {
    /// Enrols as till `number` of a store and opens its stream.
    pub fn new(chain: &Chain, shop: Shop, number: &str, seed: u8) -> Device {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let now = chain.world.now();
        let reply = chain.with_hub(|hub| {
            let store = shop.code.parse().expect("a store");
            let till = TillId::new(number).expect("a till");
            let code = hub.issue_code(&store, &till, true, &now).expect("a code");
            hub.enrol(
                &EnrolRequest {
                    code,
                    key_algorithm: KeyAlgorithm::Ed25519,
                    public_key: sign::public_key(&key),
                    app: "later".to_owned(),
                    protocols: vec![PROTOCOL],
                },
                &now,
            )
        });
        let Ok(EnrolReply::Enrolled(enrolled)) = reply else {
            panic!("not enrolled: {reply:?}")
        };
        let mut entropy = Entropy::new([seed; 32]);
        let mut device = Device {
            enrolled: *enrolled,
            stream: entropy.next_stream_id(),
            key,
            events: Vec::new(),
            entropy,
            hlc: Hlc::default(),
        };
        let opened = Fact::StreamOpened(StreamOpened {
            reason: StreamReason::Enrolled,
            tenant: device.enrolled.tenant.clone(),
            store: Some(device.enrolled.store.clone()),
            till: Some(device.enrolled.till.clone()),
            device: device.enrolled.device,
            key_algorithm: KeyAlgorithm::Ed25519,
            public_key: sign::public_key(&device.key),
            previous: None,
            z_number: 0,
            perpetual_minor: 0,
            periods: BTreeMap::new(),
            numbers: BTreeMap::new(),
            witness: None,
        });
        device.write(chain, &opened);
        device
    }

    fn event(&mut self, chain: &Chain, fact: &Fact) -> Event {
        let now = chain.world.now();
        self.hlc = self.hlc.tick(now.wall_ms);
        Event {
            stream: self.stream,
            seq: self.events.len() as u64 + 1,
            id: EventId(self.entropy.next_uuid(now.wall_ms)),
            hlc: self.hlc,
            wall: now.wall_ms,
            boot: now.boot,
            kind: fact.kind().to_owned(),
            schema: fact.schema(),
            body: fact.encode(),
        }
    }

    pub fn write(&mut self, chain: &Chain, fact: &Fact) -> StreamPos {
        let event = self.event(chain, fact);
        self.push_event(&event)
    }

    /// Writes an event of a kind that nobody here knows.
    pub fn write_unknown(&mut self, chain: &Chain, kind: &str, body: &str) -> StreamPos {
        let any = Fact::CountLearned(domain::event::CountLearned { counts: vec![] });
        let event = Event {
            kind: kind.to_owned(),
            body: RawValue::from_string(body.to_owned()).expect("json"),
            ..self.event(chain, &any)
        };
        self.push_event(&event)
    }

    fn push_event(&mut self, event: &Event) -> StreamPos {
        self.events
            .push(String::from_utf8(event.encode()).expect("utf-8"));
        StreamPos {
            stream: self.stream,
            seq: event.seq,
        }
    }

    pub fn head(&self) -> u64 {
        self.events.len() as u64
    }

    /// Its whole stream, signed.
    pub fn push(&self) -> Push {
        let hash = self
            .events
            .iter()
            .fold(genesis_hash(self.stream), |hash: Digest, text| {
                chain_hash(hash, text.as_bytes())
            });
        Push {
            stream: self.stream,
            first_seq: 1,
            prev_hash: genesis_hash(self.stream),
            events: self
                .events
                .iter()
                .map(|text| RawValue::from_string(text.clone()).expect("json"))
                .collect(),
            head: sign::sign_head(
                &self.key,
                &self.enrolled.tenant,
                self.stream,
                self.head(),
                hash,
            ),
        }
    }

    /// A request with a push of any stream.
    pub fn request(&self, chain: &Chain, push: Option<Push>) -> SyncRequest {
        let now = chain.world.now();
        SyncRequest {
            protocol: PROTOCOL,
            stream: self.stream,
            head_seq: self.head(),
            acked_seq: 0,
            authority: self.enrolled.authority.clone(),
            epoch: self.enrolled.epoch,
            wall: now.wall_ms,
            boot: now.boot,
            push,
            cursors: BTreeMap::new(),
            limit: 1,
            status: DeviceStatus::default(),
            rights: None,
            snapshots: Default::default(),
        }
    }

    /// Sends everything to the server of `chain`.
    pub fn sync(&self, chain: &Chain) -> Result<SyncReply, ProtocolError> {
        let request = self.request(chain, Some(self.push()));
        let now = chain.world.now();
        chain.with_hub(|hub| hub.sync(self.enrolled.device, &request, &now))
    }
}
