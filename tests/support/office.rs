//! A small chain's server on a port of this machine.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use domain::entropy::Entropy;
use domain::ids::{StoreId, TillId};
use hub::Hub;
use hub_http::{Limits, Serving, Tenants, system_clock};

use crate::groceries;
use crate::world::{CASA, MARSA, World};

/// The server: stores in Tunis and Casablanca, four articles, staff with the PINs of [`crate::world`].
pub struct Office {
    runtime: tokio::runtime::Runtime,
    serving: Option<Serving>,
    /// The same file as the one that is served.
    pub hub: Hub,
}

impl Office {
    /// Makes the chain in `folder` and serves it on a free port.
    ///
    /// # Errors
    /// Anything that does not go as it must.
    pub fn start(folder: &Path) -> Result<Office> {
        let month = groceries::Month {
            items: (0..4).map(|number| format!("article {number}")).collect(),
            receipts: Vec::new(),
            synthetic: true,
        };
        let csv = groceries::catalogue_csv(&month, 10);
        drop(World::new(folder, &[MARSA, CASA], 0, &csv, 8)?);
        let open = |seed| Hub::open(&folder.join("hub.db"), Entropy::new([seed; 32]));
        let tenants = Arc::new(Tenants::single(open(1)?));
        let runtime = tokio::runtime::Runtime::new()?;
        let serving = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let router = hub_http::routes(tenants, system_clock());
            hub_http::serve(listener, router, Limits::default())
        })?;
        Ok(Office {
            runtime,
            serving: Some(serving),
            hub: open(2)?,
        })
    }

    /// Nobody hears of it any more.
    pub fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            self.runtime.block_on(serving.shutdown());
        }
    }

    /// Its address.
    ///
    /// # Errors
    /// After its end.
    pub fn url(&self) -> Result<String> {
        let serving = self.serving.as_ref().context("the server runs")?;
        Ok(format!("http://{}", serving.addr()))
    }

    /// A one-time code for the till of the store in Tunis.
    ///
    /// # Errors
    /// When the hub refuses.
    pub fn code(&mut self) -> Result<String> {
        let (store, till) = (StoreId::new(MARSA.code)?, TillId::new("01")?);
        Ok(self
            .hub
            .issue_code(&store, &till, true, &system_clock()())?)
    }

    /// Receipts of sales that it booked, and what they come to.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn booked(&self) -> Result<(u64, i64)> {
        let takings = self.hub.takings(None)?;
        Ok((
            takings.iter().map(|row| row.receipts).sum(),
            takings.iter().map(|row| row.takings_minor).sum(),
        ))
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.stop();
    }
}
