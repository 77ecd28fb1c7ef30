//! Documents of the stockroom: deliveries, adjustments, transfers, goods carried to another zone.
//!
//! Each is one fact with its answer in one transaction, like a sale. Nothing of it waits for the server.

use std::collections::BTreeMap;

use domain::catalog::StockClass;
use domain::event::{
    Fact, GoodsLine, GoodsReceived, MAIN_ZONE, Override, OverrideKind, StockAdjusted, StreamPos,
    TransferLost, TransferReceived, TransferSent, ZoneMoved,
};
use domain::ids::{DocumentId, EventId, LocationId, TransferId, UserId, VariantId};
use domain::quantity::{QUANTITY_MAX, Quantity};
use domain::stock::{GOODS_LINES_MAX, StockAccount, is_zone};
use ledger::{Item, OpenTransfer};
use uuid::Uuid;

use crate::checkout::{Terms, cleaned, shown};
use crate::door::{
    Command, CountAt, GoodsInput, GoodsLineView, GoodsView, PlaceView, Refusal, RefusalCode, Reply,
    TransferView,
};
use crate::till::{Call, Outcome, Till, storage_refusal};
use crate::views::options_text;

/// A line that was found good.
struct Line {
    item: Item,
    goods: GoodsLine,
    stock: Option<Quantity>,
}

/// What a document consists of beside its lines.
struct Sheet {
    document: Uuid,
    fact: Fact,
    lines: Vec<Line>,
}

impl Till {
    pub(crate) fn move_goods(&mut self, command: &Command, call: &mut Call) -> Outcome {
        let member = self.signed_in()?;
        self.require_room()?;
        let terms = self.terms(call)?;
        let sheet = match command {
            Command::ReceiveGoods {
                lines,
                zone,
                reference,
                included_in,
                document,
            } => {
                let zone = zone_or_main(zone.as_deref())?;
                let lines = self.goods_lines(lines, false, &terms)?;
                let reference = reference
                    .as_deref()
                    .map(|text| cleaned(text, "reference"))
                    .transpose()?
                    .filter(|text| !text.is_empty());
                let included_in = included_in.as_ref().map(read_count).transpose()?;
                let document = document.unwrap_or_else(|| DocumentId(call.uuid()));
                let fact = Fact::GoodsReceived(GoodsReceived {
                    document,
                    location: terms.store.location.clone(),
                    zone,
                    lines: goods(&lines),
                    reference,
                    included_in,
                    user: member.user,
                });
                Sheet {
                    document: document.0,
                    fact,
                    lines,
                }
            }
            Command::AdjustStock {
                reason,
                lines,
                zone,
                note,
                document,
                without_right,
                approval,
            } => {
                let zone = zone_or_main(zone.as_deref())?;
                let lines = self.goods_lines(lines, true, &terms)?;
                let note = note
                    .as_deref()
                    .map(|text| cleaned(text, "note"))
                    .transpose()?
                    .filter(|text| !text.is_empty());
                if !without_right {
                    let outgoing = lines.iter().filter(|line| line.goods.quantity.0 < 0);
                    self.require_rights_to(outgoing, &terms, call)?;
                }
                let document = document.unwrap_or_else(|| DocumentId(call.uuid()));
                self.refuse_known("StockAdjusted", document.0)?;
                let by = self.approved_by(approval.as_ref(), RefusalCode::ManagerRequired, call)?;
                let fact = Fact::StockAdjusted(StockAdjusted {
                    document,
                    location: terms.store.location.clone(),
                    zone,
                    reason: *reason,
                    note,
                    lines: goods(&lines),
                    user: member.user,
                    approved_by: (by != member.user).then_some(by),
                    overrides: overrides(*without_right, by),
                });
                Sheet {
                    document: document.0,
                    fact,
                    lines,
                }
            }
            Command::SendTransfer {
                to,
                lines,
                zone,
                transfer,
                without_right,
                approval,
            } => {
                let zone = zone_or_main(zone.as_deref())?;
                known_location(to, &terms)?;
                if *to == terms.store.location {
                    return Err(RefusalCode::SamePlace.into());
                }
                let lines = self.goods_lines(lines, false, &terms)?;
                if !without_right {
                    self.require_rights_to(lines.iter(), &terms, call)?;
                }
                let transfer = transfer.unwrap_or_else(|| TransferId(call.uuid()));
                self.refuse_known("TransferSent", transfer.0)?;
                let overrides = if *without_right {
                    let required = RefusalCode::ManagerRequired;
                    overrides(true, self.approved_by(approval.as_ref(), required, call)?)
                } else {
                    Vec::new()
                };
                let fact = Fact::TransferSent(TransferSent {
                    transfer,
                    from: terms.store.location.clone(),
                    zone,
                    to: to.clone(),
                    lines: goods(&lines),
                    user: member.user,
                    overrides,
                });
                Sheet {
                    document: transfer.0,
                    fact,
                    lines,
                }
            }
            Command::ReceiveTransfer {
                transfer,
                from,
                lines,
                zone,
            } => {
                let zone = zone_or_main(zone.as_deref())?;
                known_location(from, &terms)?;
                if *from == terms.store.location {
                    return Err(RefusalCode::SamePlace.into());
                }
                let lines = self.goods_lines(lines, false, &terms)?;
                let fact = Fact::TransferReceived(TransferReceived {
                    transfer: *transfer,
                    from: from.clone(),
                    to: terms.store.location.clone(),
                    zone,
                    lines: goods(&lines),
                    user: member.user,
                });
                Sheet {
                    document: transfer.0,
                    fact,
                    lines,
                }
            }
            Command::LoseTransfer {
                transfer,
                from,
                to,
                lines,
                approval,
            } => {
                known_location(from, &terms)?;
                known_location(to, &terms)?;
                let here = &terms.store.location;
                if from == to || ![from, to].contains(&here) {
                    return Err(RefusalCode::SamePlace.into());
                }
                let lines = self.goods_lines(lines, false, &terms)?;
                self.refuse_short(*transfer, &lines)?;
                let by = self.approved_by(approval.as_ref(), RefusalCode::ManagerRequired, call)?;
                let fact = Fact::TransferLost(TransferLost {
                    transfer: *transfer,
                    from: from.clone(),
                    to: to.clone(),
                    lines: goods(&lines),
                    user: member.user,
                    approved_by: (by != member.user).then_some(by),
                });
                Sheet {
                    document: transfer.0,
                    fact,
                    lines,
                }
            }
            Command::MoveZone {
                from_zone,
                to_zone,
                lines,
                document,
            } => {
                let from_zone = zone_or_main(Some(from_zone))?;
                let to_zone = zone_or_main(Some(to_zone))?;
                if from_zone == to_zone {
                    return Err(RefusalCode::SamePlace.into());
                }
                let lines = self.goods_lines(lines, false, &terms)?;
                let document = document.unwrap_or_else(|| DocumentId(call.uuid()));
                let fact = Fact::ZoneMoved(ZoneMoved {
                    document,
                    location: terms.store.location.clone(),
                    from_zone,
                    to_zone,
                    lines: goods(&lines),
                    user: member.user,
                });
                Sheet {
                    document: document.0,
                    fact,
                    lines,
                }
            }
            _ => return Err(RefusalCode::Internal.into()),
        };
        self.write_goods(sheet, call)
    }

    fn write_goods(&mut self, sheet: Sheet, call: &mut Call) -> Outcome {
        let Sheet {
            document,
            fact,
            lines,
        } = sheet;
        if !matches!(fact, Fact::TransferReceived(_) | Fact::TransferLost(_)) {
            self.refuse_known(fact.kind(), document)?;
        }
        let view = GoodsView {
            document: DocumentId(document),
            lines: lines
                .into_iter()
                .map(|line| goods_line_view(line.item, line.goods.quantity, line.stock))
                .collect(),
        };
        let event = EventId(call.uuid());
        let reply = Reply::Goods(Box::new(view));
        let reply = self.record_fact(event, &fact, Vec::new(), reply, call)?;
        self.sync_requested = true;
        Ok(reply)
    }

    /// The lines of a document, each variant once and in the order of entry.
    fn goods_lines(
        &self,
        input: &[GoodsInput],
        signed: bool,
        terms: &Terms,
    ) -> Result<Vec<Line>, Refusal> {
        let mut order: Vec<VariantId> = Vec::new();
        let mut sums: BTreeMap<VariantId, Quantity> = BTreeMap::new();
        for line in input {
            let fits = line.quantity.0.unsigned_abs() <= QUANTITY_MAX.unsigned_abs()
                && line.quantity.0 != 0
                && (signed || line.quantity.0 > 0);
            if !fits {
                return Err(RefusalCode::QuantityInvalid.into());
            }
            let sum = sums.entry(line.variant).or_insert_with(|| {
                order.push(line.variant);
                Quantity::ZERO
            });
            *sum = sum
                .checked_add(line.quantity)
                .ok_or(RefusalCode::QuantityInvalid)?;
        }
        if order.is_empty() {
            return Err(RefusalCode::NoLines.into());
        }
        if order.len() > GOODS_LINES_MAX {
            return Err(Refusal::new(RefusalCode::TooManyLines).with("max", GOODS_LINES_MAX));
        }
        let mut lines = Vec::with_capacity(order.len());
        for variant in order {
            let quantity = sums[&variant];
            if quantity.0 == 0 || quantity.0.unsigned_abs() > QUANTITY_MAX.unsigned_abs() {
                return Err(RefusalCode::QuantityInvalid.into());
            }
            let item = self.tracked(variant, terms)?;
            let class = item.variant.class_at(&terms.store.location);
            let stock = self
                .book()?
                .stock(variant, &terms.store.location)
                .map_err(|error| storage_refusal(&error))?;
            lines.push(Line {
                item,
                goods: GoodsLine {
                    variant,
                    quantity,
                    class,
                },
                stock: stock.map(|known| known.quantity),
            });
        }
        Ok(lines)
    }

    /// A variant of which stock is kept here.
    pub(crate) fn tracked(&self, variant: VariantId, terms: &Terms) -> Result<Item, Refusal> {
        let item = self
            .book()?
            .item(variant)
            .map_err(|error| storage_refusal(&error))?
            .ok_or(RefusalCode::UnknownVariant)?;
        if item.variant.class_at(&terms.store.location) == StockClass::Untracked {
            return Err(Refusal::new(RefusalCode::Untracked).with("sku", item.variant.sku));
        }
        Ok(item)
    }

    /// Refuses goods of a strict variant that go out beyond what this till holds a right to.
    fn require_rights_to<'a>(
        &self,
        outgoing: impl Iterator<Item = &'a Line>,
        terms: &Terms,
        call: &Call,
    ) -> Result<(), Refusal> {
        for line in outgoing.filter(|line| line.goods.class == StockClass::Strict) {
            let right = self
                .book()?
                .right(line.goods.variant, &terms.store.location, &call.now)
                .map_err(|error| storage_refusal(&error))?;
            if i128::from(line.goods.quantity.0).abs() > i128::from(right.0) {
                return Err(Refusal::new(RefusalCode::NoRight)
                    .with("sku", line.item.variant.sku.clone())
                    .with("variant", line.goods.variant.to_string())
                    .with("right", right.0));
            }
        }
        Ok(())
    }

    fn refuse_known(&self, kind: &str, document: Uuid) -> Result<(), Refusal> {
        let known = self
            .book()?
            .knows_document(kind, document)
            .map_err(|error| storage_refusal(&error))?;
        if known {
            return Err(RefusalCode::DocumentKnown.into());
        }
        Ok(())
    }

    /// Of a transfer that was sent from here nothing more can be lost than is on its way.
    fn refuse_short(&self, transfer: TransferId, lines: &[Line]) -> Result<(), Refusal> {
        let failed = |error| storage_refusal(&error);
        let book = self.book()?;
        if book.sending_of(transfer).map_err(failed)?.is_none() {
            return Ok(());
        }
        for line in lines {
            let open = book
                .held(&StockAccount::Transit(transfer), line.goods.variant)
                .map_err(failed)?;
            if open < line.goods.quantity {
                return Err(Refusal::new(RefusalCode::TransferShort)
                    .with("sku", line.item.variant.sku.clone())
                    .with("open", open.0));
            }
        }
        Ok(())
    }

    pub(crate) fn list_transfers(&self, call: &Call) -> Outcome {
        self.signed_in()?;
        let terms = self.terms(call)?;
        let failed = |error| storage_refusal(&error);
        let mut transfers = Vec::new();
        for open in self.book()?.open_transfers().map_err(failed)? {
            transfers.push(self.transfer_view(open, &terms)?);
        }
        let here = &terms.store.location;
        let places = terms.store.location_names.iter();
        let places = places.map(|(location, name)| PlaceView {
            location: location.clone(),
            name: name.clone(),
            here: location == here,
        });
        Ok(Reply::Transfers {
            transfers,
            places: places.collect(),
        })
    }

    fn transfer_view(&self, open: OpenTransfer, terms: &Terms) -> Result<TransferView, Refusal> {
        let book = self.book()?;
        let failed = |error| storage_refusal(&error);
        let mut lines = Vec::new();
        for (variant, quantity) in open.open {
            // A variant that left the catalogue has left it with its goods on the way.
            if let Some(item) = book.item(variant).map_err(failed)? {
                let stock = book.stock(variant, &terms.store.location).map_err(failed)?;
                let stock = stock.map(|known| known.quantity);
                lines.push(goods_line_view(item, quantity, stock));
            }
        }
        Ok(TransferView {
            transfer: open.transfer,
            from: open.from,
            to: open.to,
            at: domain::time::local_minute(open.wall, terms.store.utc_offset_min),
            lines,
        })
    }
}

fn goods(lines: &[Line]) -> Vec<GoodsLine> {
    lines.iter().map(|line| line.goods.clone()).collect()
}

fn goods_line_view(item: Item, quantity: Quantity, stock: Option<Quantity>) -> GoodsLineView {
    let Item { variant, style } = item;
    GoodsLineView {
        variant: variant.variant,
        sku: variant.sku,
        names: style.names,
        options: options_text(&variant.options),
        quantity,
        stock,
    }
}

/// A zone as it was named, the main one where none was.
pub(crate) fn zone_or_main(zone: Option<&str>) -> Result<String, Refusal> {
    let zone = zone.map_or(MAIN_ZONE, str::trim);
    if !is_zone(zone) {
        return Err(Refusal::new(RefusalCode::ZoneInvalid).with("zone", shown(zone)));
    }
    Ok(zone.to_owned())
}

fn known_location(location: &LocationId, terms: &Terms) -> Result<(), Refusal> {
    let store = &terms.store;
    let known = *location == store.location
        || store.location_names.contains_key(location)
        || store.follows.contains(location);
    if !known {
        return Err(
            Refusal::new(RefusalCode::UnknownLocation).with("location", location.to_string())
        );
    }
    Ok(())
}

fn read_count(at: &CountAt) -> Result<StreamPos, Refusal> {
    let stream = at.stream.parse().map_err(|_| RefusalCode::UnknownCount)?;
    if at.seq == 0 {
        return Err(RefusalCode::UnknownCount.into());
    }
    Ok(StreamPos {
        stream,
        seq: at.seq,
    })
}

fn overrides(without_right: bool, by: UserId) -> Vec<Override> {
    let waived = Override {
        kind: OverrideKind::NoRight,
        by,
        line: None,
    };
    without_right.then_some(waived).into_iter().collect()
}
