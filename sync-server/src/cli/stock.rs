//! `stock`, `stream`, `incident`: how stock is guarded, and what a person has to decide about it.

use anyhow::bail;
use clap::{Subcommand, ValueEnum};
use domain::catalog::StockClass;
use domain::event::SealReason;
use domain::ids::{IncidentId, LocationId, StreamId};
use domain::quantity::Quantity;
use domain::time::local_minute;
use hub::{IncidentLine, LineageStep, PlaceRights, StockLineage};
use serde_json::json;

use super::{Context, Output, TenantArg};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClassArg {
    /// What the shopper holds is sold; a count below zero is looked into.
    Shelf,
    /// No right, no sale: never more is sold or promised than there is.
    Strict,
    /// No stock is kept.
    Untracked,
}

impl From<ClassArg> for StockClass {
    fn from(class: ClassArg) -> StockClass {
        match class {
            ClassArg::Shelf => StockClass::Shelf,
            ClassArg::Strict => StockClass::Strict,
            ClassArg::Untracked => StockClass::Untracked,
        }
    }
}

/// Movements listed unless told otherwise.
const STEPS_LISTED: usize = 50;

#[derive(Debug, Subcommand)]
pub enum StockCommand {
    /// Set how the stock of an article is guarded.
    Class {
        #[command(flatten)]
        tenant: TenantArg,
        /// SKU.
        #[arg(long)]
        sku: String,
        /// Location; everywhere unless a location says otherwise if it is not given.
        #[arg(long)]
        location: Option<LocationId>,
        /// Class.
        #[arg(long, value_enum)]
        class: ClassArg,
    },
    /// Show where a quantity comes from: its count and every movement since.
    Why {
        #[command(flatten)]
        tenant: TenantArg,
        /// SKU.
        #[arg(long)]
        sku: String,
        /// Location.
        #[arg(long)]
        location: LocationId,
        /// Movements to list of each zone, the latest.
        #[arg(long, default_value_t = STEPS_LISTED)]
        limit: usize,
    },
    /// Show what is free of a strict article, promised, and in the hands of which till.
    Rights {
        #[command(flatten)]
        tenant: TenantArg,
        /// SKU.
        #[arg(long)]
        sku: String,
    },
}

pub(super) fn stock(context: &Context, command: StockCommand) -> anyhow::Result<Output> {
    match command {
        StockCommand::Class {
            tenant,
            sku,
            location,
            class,
        } => {
            let mut hub = context.data.hub(&tenant.tenant)?;
            hub.set_class(&sku, location.as_ref(), class.into())?;
            let class = StockClass::from(class);
            Output::new(
                "set; tills learn of it with their next contact\n",
                json!({ "ok": true, "sku": sku, "location": location, "class": class }),
            )
        }
        StockCommand::Why {
            tenant,
            sku,
            location,
            limit,
        } => {
            let hub = context.data.hub(&tenant.tenant)?;
            let Some(variant) = hub.variant_of_sku(&sku)? else {
                bail!("no SKU {sku}");
            };
            if !hub.has_location(&location)? {
                bail!("no location {location}");
            }
            let lineage = hub.stock_lineage(variant.variant, &location, limit)?;
            let text = lineage.as_ref().map_or_else(
                || "never moved nor counted there\n".to_owned(),
                lineage_text,
            );
            Output::new(
                text,
                json!({ "ok": true, "sku": sku, "location": location, "lineage": lineage }),
            )
        }
        StockCommand::Rights { tenant, sku } => {
            let places = context.data.hub(&tenant.tenant)?.rights_of(&sku)?;
            let mut text = String::new();
            for place in &places {
                text.push_str(&rights_text(place));
            }
            if places.is_empty() {
                text.push_str("strict nowhere\n");
            }
            Output::new(text, json!({ "ok": true, "sku": sku, "places": places }))
        }
    }
}

fn lineage_text(lineage: &StockLineage) -> String {
    let mut text = format!("{} at {}\n", lineage.quantity, lineage.location);
    for zone in &lineage.zones {
        text.push_str(&format!("{}: {}\n", zone.zone, zone.quantity));
        match &zone.count {
            Some(count) => text.push_str(&step_text(count, "=")),
            None => text.push_str("  never counted, from nothing\n"),
        }
        if zone.older > 0 {
            text.push_str(&format!(
                "  {} earlier movements, together {}\n",
                zone.older, zone.older_sum
            ));
        }
        for step in &zone.steps {
            text.push_str(&step_text(step, ""));
        }
        if zone.settled > 0 {
            text.push_str(&format!(
                "  {} movements before that count are settled by it\n",
                zone.settled
            ));
        }
    }
    text
}

/// `2026-11-22 18:04 UTC  LM-01  -1  SaleCompleted A1B2C3-26-17 -> 14`
fn step_text(step: &LineageStep, sign: &str) -> String {
    let sign = if sign.is_empty() && step.quantity > Quantity::ZERO {
        "+"
    } else {
        sign
    };
    let mut text = format!(
        "  {} UTC  {}  {sign}{}  {}",
        step.event
            .wall
            .map_or_else(|| "?".to_owned(), |wall| local_minute(wall, 0)),
        till_text(step.event.store.as_ref(), step.event.till.as_ref()),
        step.quantity,
        step.event.kind.as_deref().unwrap_or("?")
    );
    if let Some(number) = &step.event.number {
        text.push_str(&format!(" {number}"));
    }
    if let Some(document) = step.document {
        text.push_str(&format!(" {document}"));
    }
    if let Some(other) = &step.other {
        text.push_str(&format!(" ({other})"));
    }
    text.push_str(&format!(" -> {}\n", step.balance));
    text
}

fn rights_text(place: &PlaceRights) -> String {
    let mut text = format!(
        "{}  {} on hand, {} free, {} promised\n",
        place.location, place.on_hand, place.free, place.promised
    );
    for holder in &place.holders {
        let sealed = if holder.sealed { ", sealed" } else { "" };
        text.push_str(&format!(
            "  {} may sell {} (stream {}{sealed})\n",
            till_text(holder.store.as_ref(), holder.till.as_ref()),
            holder.quantity,
            holder.stream
        ));
    }
    text
}

/// `LM-01`, or the server itself.
fn till_text(store: Option<&domain::ids::StoreId>, till: Option<&domain::ids::TillId>) -> String {
    match (store, till) {
        (Some(store), Some(till)) => format!("{store}-{till}"),
        _ => "server".to_owned(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SealArg {
    /// The device is no longer used, or went to another store.
    Retired,
    /// The device is broken or cannot be found.
    Lost,
    /// The device was stolen.
    Stolen,
}

impl From<SealArg> for SealReason {
    fn from(reason: SealArg) -> SealReason {
        match reason {
            SealArg::Retired => SealReason::Retired,
            SealArg::Lost => SealReason::Lost,
            SealArg::Stolen => SealReason::Stolen,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum StreamCommand {
    /// List the journals of all tills.
    List {
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Wait no more for a till's journal; what it may still sell comes back when its leases are over and the location
    /// is counted.
    Seal {
        #[command(flatten)]
        tenant: TenantArg,
        /// Stream, as listed.
        #[arg(long)]
        stream: StreamId,
        /// Why.
        #[arg(long, value_enum)]
        reason: SealArg,
    },
}

pub(super) fn stream(context: &Context, command: StreamCommand) -> anyhow::Result<Output> {
    match command {
        StreamCommand::List { tenant } => {
            let tills = context.data.hub(&tenant.tenant)?.tills(&context.now)?;
            let mut text = String::new();
            for till in &tills {
                for stream in &till.streams {
                    let sealed = stream.sealed.as_deref();
                    text.push_str(&format!(
                        "{}-{}  {}  {} received{}\n",
                        till.store,
                        till.till,
                        stream.stream,
                        stream.head_seq,
                        sealed.map_or(String::new(), |why| format!(", sealed: {why}"))
                    ));
                }
            }
            Output::new(text, json!({ "ok": true, "tills": tills }))
        }
        StreamCommand::Seal {
            tenant,
            stream,
            reason,
        } => {
            let mut hub = context.data.hub(&tenant.tenant)?;
            hub.seal_stream(stream, reason.into(), &context.now)?;
            Output::new("sealed\n", json!({ "ok": true, "stream": stream }))
        }
    }
}

/// Incidents listed unless told otherwise.
const LISTED: u32 = 100;

#[derive(Debug, Subcommand)]
pub enum IncidentCommand {
    /// List what was settled by itself and a person should look at, the latest first.
    List {
        #[command(flatten)]
        tenant: TenantArg,
        /// Those that somebody has looked at too.
        #[arg(long)]
        all: bool,
        /// How many at most.
        #[arg(long, default_value_t = LISTED)]
        limit: u32,
    },
    /// Say that somebody has looked at it, and what was done.
    Resolve {
        #[command(flatten)]
        tenant: TenantArg,
        /// Incident, as listed.
        #[arg(long)]
        incident: IncidentId,
        /// What was done.
        #[arg(long)]
        note: String,
    },
}

pub(super) fn incident(context: &Context, command: IncidentCommand) -> anyhow::Result<Output> {
    match command {
        IncidentCommand::List { tenant, all, limit } => {
            let incidents = context.data.hub(&tenant.tenant)?.incidents(!all, limit)?;
            let mut text = String::new();
            for line in &incidents {
                text.push_str(&incident_text(line)?);
            }
            if incidents.is_empty() {
                text.push_str("none\n");
            }
            Output::new(text, json!({ "ok": true, "incidents": incidents }))
        }
        IncidentCommand::Resolve {
            tenant,
            incident,
            note,
        } => {
            let mut hub = context.data.hub(&tenant.tenant)?;
            hub.resolve_incident(incident, &note, &context.now)?;
            Output::new("resolved\n", json!({ "ok": true, "incident": incident }))
        }
    }
}

fn incident_text(line: &IncidentLine) -> anyhow::Result<String> {
    let kind = serde_json::to_value(line.kind)?;
    let mut text = format!(
        "{}  {} UTC  {}",
        line.incident,
        local_minute(line.raised, 0),
        kind.as_str().unwrap_or_default()
    );
    if let (Some(sku), Some(quantity)) = (&line.sku, line.quantity) {
        text.push_str(&format!("  {quantity} of {sku}"));
    }
    if let Some(location) = &line.location {
        text.push_str(&format!(" at {location}"));
    }
    if line.stream.is_some() {
        let till = till_text(line.store.as_ref(), line.till.as_ref());
        text.push_str(&format!("  {till}"));
    }
    if let Some(note) = &line.note {
        text.push_str(&format!("  resolved: {note}"));
    }
    text.push('\n');
    for at in &line.story {
        let till = till_text(at.store.as_ref(), at.till.as_ref());
        text.push_str(&format!(
            "  {}  {till} {} {}",
            at.wall
                .map_or_else(|| "?".to_owned(), |wall| local_minute(wall, 0)),
            at.seq,
            at.kind.as_deref().unwrap_or("?")
        ));
        if let Some(number) = &at.number {
            text.push_str(&format!(" {number}"));
        }
        text.push('\n');
    }
    Ok(text)
}
