//! How large the small worlds are, and what may happen in them.

/// Bounds of a world. The search visits every state that these allow.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// What it is called where its figures are printed.
    pub name: &'static str,
    /// Tills.
    pub tills: usize,
    /// The last till is enrolled later.
    pub late_till: bool,
    /// Units in the books.
    pub units: i8,
    /// Units on the shelf that the books miss; below zero, units that only the books have.
    pub found: i8,
    /// Largest total of grants to one stream.
    pub grants: u8,
    /// Largest total of moves between two streams.
    pub passes: u8,
    /// Rights given back.
    pub returns: u8,
    /// Web customers.
    pub promises: u8,
    /// Web customers start with a cart that may expire, and not with an order.
    pub carts: bool,
    /// Goods that come in, from a supplier or as a customer's return.
    pub receipts: u8,
    /// Overrides without the hub.
    pub overrides_offline: u8,
    /// Overrides with the hub's word that a unit is free.
    pub overrides_online: u8,
    /// Physical counts.
    pub counts: u8,
    /// Only the last till counts.
    pub one_counter: bool,
    /// Counts by somebody who had heard nothing from other tills, too.
    pub stale_cuts: bool,
    /// How far time goes; a lease ends one step after it was given.
    pub ticks: u8,
    /// Silent streams may be sealed.
    pub seals: bool,
    /// Tills restored from a backup.
    pub restores: u8,
    /// The server may be restored from a backup.
    pub server_restore: bool,
    /// Events of one stream.
    pub events: u8,
    /// Rare steps in one history: moves and returns of rights, receipts, overrides, counts, seals, restores.
    pub rare: u8,
}

impl World {
    /// Two tills, a web channel, grants and sales; nothing else happens.
    pub const PLAIN: World = World {
        name: "plain",
        tills: 2,
        late_till: false,
        units: 2,
        found: 0,
        grants: 2,
        passes: 0,
        returns: 0,
        promises: 2,
        carts: false,
        receipts: 0,
        overrides_offline: 0,
        overrides_online: 0,
        counts: 0,
        one_counter: false,
        stale_cuts: false,
        ticks: 0,
        seals: false,
        restores: 0,
        server_restore: false,
        events: 4,
        rare: 15,
    };

    /// One unit, so that the first one too many shows.
    pub const ONE: World = World {
        name: "one unit",
        units: 1,
        grants: 1,
        promises: 1,
        ..World::PLAIN
    };

    /// Rights move between tills and back to the hub, under leases that are renewed.
    pub const MOVES: World = World {
        name: "moves, returns, leases",
        grants: 2,
        passes: 1,
        returns: 1,
        ticks: 2,
        ..World::ONE
    };

    /// Two units, without time.
    pub const RETURNS: World = World {
        name: "moves and returns of two units",
        units: 2,
        passes: 1,
        returns: 1,
        promises: 1,
        ..World::PLAIN
    };

    /// Three tills, moves along paths of two, a count.
    pub const THREE: World = World {
        name: "three tills, moves, returns, a count",
        tills: 3,
        passes: 1,
        returns: 1,
        counts: 1,
        one_counter: true,
        events: 3,
        rare: 2,
        ..World::ONE
    };

    /// Carts, orders and what is handed over.
    pub const SHOP: World = World {
        name: "carts and orders",
        promises: 2,
        carts: true,
        ..World::ONE
    };

    /// A count among sales and receipts, by somebody who knows what the hub knows or nothing.
    pub const COUNT: World = World {
        name: "a count, sales, receipts",
        counts: 1,
        receipts: 1,
        stale_cuts: true,
        ..World::ONE
    };

    /// The same, and the count finds a unit more than the books.
    pub const FOUND: World = World {
        name: "a count finds a unit",
        found: 1,
        promises: 2,
        ..World::COUNT
    };

    /// The same, and the count finds a unit less than the books.
    pub const MISSING: World = World {
        name: "a count misses a unit",
        units: 2,
        found: -1,
        ..World::COUNT
    };

    /// Two counts that may not know each other.
    pub const COUNTS: World = World {
        name: "two counts, sales, receipts",
        counts: 2,
        ..World::COUNT
    };

    /// An override with the hub's word.
    pub const OVERRIDE: World = World {
        name: "override",
        units: 2,
        grants: 1,
        promises: 1,
        overrides_online: 1,
        ..World::PLAIN
    };

    /// Both kinds of override, receipts and a count.
    pub const OVERRIDES: World = World {
        name: "overrides, receipts, a count",
        overrides_offline: 1,
        receipts: 1,
        counts: 1,
        rare: 3,
        ..World::OVERRIDE
    };

    /// Silent tills: leases end, streams are sealed, a count follows.
    pub const SEAL: World = World {
        name: "seals and a count",
        counts: 1,
        ticks: 1,
        seals: true,
        events: 3,
        ..World::ONE
    };

    /// Silent tills that moved rights, in one unit and two leases.
    pub const SEAL_PATH: World = World {
        name: "seals, moves, two leases",
        ticks: 2,
        passes: 1,
        one_counter: true,
        ..World::SEAL
    };

    /// Silent tills that moved rights, two units.
    pub const SEAL_MOVES: World = World {
        name: "seals, moves, two units",
        units: 2,
        passes: 1,
        one_counter: true,
        events: 4,
        rare: 3,
        ..World::SEAL
    };

    /// Silent tills that took goods in.
    pub const SEAL_RECEIPTS: World = World {
        name: "seals, receipts, a count",
        receipts: 1,
        ..World::SEAL
    };

    /// Silent tills and two counts.
    pub const SEAL_COUNTS: World = World {
        name: "seals and two counts",
        counts: 2,
        rare: 3,
        ..World::SEAL
    };

    /// A till restored from a backup.
    pub const RESTORE: World = World {
        name: "a restored till",
        restores: 1,
        ..World::ONE
    };

    /// A restored till that takes in the only unit; its old stream is sealed and counted.
    pub const RESTORE_SEAL: World = World {
        name: "a restored till, receipts, seals, a count",
        units: 0,
        restores: 1,
        receipts: 1,
        rare: 4,
        ..World::SEAL
    };

    /// A till is restored after it moved rights.
    pub const RESTORE_MOVES: World = World {
        name: "a restored till, moves, seals, a count",
        restores: 1,
        passes: 1,
        one_counter: true,
        rare: 4,
        ..World::SEAL
    };

    /// The server restored from a backup.
    pub const SERVER: World = World {
        name: "a restored server",
        server_restore: true,
        ..World::ONE
    };

    /// The same with two units.
    pub const SERVER_TWO: World = World {
        name: "a restored server, two units",
        server_restore: true,
        promises: 1,
        ..World::PLAIN
    };

    /// The same with carts and orders.
    pub const SERVER_SHOP: World = World {
        name: "a restored server, carts and orders",
        server_restore: true,
        ..World::SHOP
    };

    /// The same with a till that the backup does not know.
    pub const SERVER_LATE: World = World {
        name: "a restored server, a later till",
        server_restore: true,
        late_till: true,
        ..World::ONE
    };

    /// A restored server and silent tills.
    pub const SERVER_SEAL: World = World {
        name: "a restored server, seals, a count",
        server_restore: true,
        one_counter: true,
        events: 2,
        rare: 3,
        ..World::SEAL
    };

    /// Everything that may happen, in one world.
    pub const EVERYTHING: World = World {
        name: "everything",
        passes: 1,
        returns: 1,
        receipts: 1,
        overrides_offline: 1,
        overrides_online: 1,
        restores: 1,
        server_restore: true,
        one_counter: true,
        events: 2,
        rare: 2,
        ..World::SEAL
    };
}
