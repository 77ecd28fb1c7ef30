//! Two sales of one till that look like one keyed in twice.

use domain::event::{Event, Fact, SaleBody, StreamPos};
use domain::ids::{SaleId, StreamId};

use crate::store::{StoreResult, Tx};

/// Two sales further apart than this are two customers, in milliseconds.
pub const ALIKE_MS_MAX: i64 = 2 * 60 * 1_000;
/// How many events back the sale before a push is looked for.
const LOOK_BACK: u64 = 16;

/// A sale as the next one is compared with it.
struct Seen {
    at: StreamPos,
    wall: i64,
    sale: SaleBody,
}

/// Compares each sale of a stream with the one before it.
pub(crate) struct Alike {
    last: Option<Seen>,
    /// The last sale was found to be like the one before it: a third is no news.
    in_run: bool,
    /// Pairs: their sales and where they stand.
    found: Vec<([SaleId; 2], [StreamPos; 2])>,
}

impl Alike {
    /// For what comes after `head` of a stream.
    pub fn after(tx: &Tx<'_>, stream: StreamId, head: u64) -> StoreResult<Alike> {
        let mut alike = Alike {
            last: None,
            in_run: false,
            found: Vec::new(),
        };
        for seq in (head.saturating_sub(LOOK_BACK) + 1..=head).rev() {
            let Some(bytes) = tx.event_bytes(stream, seq)? else {
                break;
            };
            let Ok(event) = Event::decode(&bytes) else {
                continue;
            };
            match event.fact() {
                Ok(Fact::SaleCompleted(sale)) => {
                    alike.last = Some(Seen {
                        at: StreamPos { stream, seq },
                        wall: event.wall,
                        sale,
                    });
                    break;
                }
                // Undone already.
                Ok(Fact::Reversed(_)) => break,
                _ => {}
            }
        }
        Ok(alike)
    }

    /// Looks at the next event.
    pub fn see(&mut self, at: StreamPos, wall: i64, fact: &Fact) {
        match fact {
            Fact::SaleCompleted(sale) => {
                let twin = self.last.as_ref().filter(|last| {
                    wall.abs_diff(last.wall) < ALIKE_MS_MAX.unsigned_abs()
                        && alike(&last.sale, sale)
                });
                let is_twin = twin.is_some();
                if let Some(twin) = twin.filter(|_| !self.in_run) {
                    self.found
                        .push(([twin.sale.sale, sale.sale], [twin.at, at]));
                }
                self.in_run = is_twin;
                self.last = Some(Seen {
                    at,
                    wall,
                    sale: sale.clone(),
                });
            }
            // The cashier has seen it, too.
            Fact::Reversed(reversed) => {
                self.found
                    .retain(|(sales, _)| !sales.contains(&reversed.of));
                self.last = None;
                self.in_run = false;
            }
            _ => {}
        }
    }

    /// The pairs that were found.
    pub fn pairs(self) -> Vec<Vec<StreamPos>> {
        self.found
            .into_iter()
            .map(|(_, pair)| pair.to_vec())
            .collect()
    }
}

/// Whether two sales are so alike that somebody should look. One article twice in two minutes is every bakery's
/// morning, so it takes a cart of several, or one payment by card that both name.
fn alike(first: &SaleBody, second: &SaleBody) -> bool {
    let line = |sale: &SaleBody, index: usize| {
        let line = &sale.lines[index];
        (line.variant, line.quantity, line.total_minor)
    };
    let same = first.total_minor == second.total_minor
        && first.total_minor > 0
        && first.tenders == second.tenders
        && first.lines.len() == second.lines.len()
        && (0..first.lines.len()).all(|index| line(first, index) == line(second, index));
    let same_payment = || {
        let mut references = first
            .tenders
            .iter()
            .filter_map(|tender| tender.reference.as_ref());
        references.any(|reference| !reference.is_empty())
    };
    same && (first.lines.len() > 1 || same_payment())
}
