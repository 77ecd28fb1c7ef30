//! PINs: waiting after wrong ones, blocking, unblocking and resetting.

use domain::event::Fact;
use domain::ids::UserId;
use serde_json::json;
use testkit::shop::{
    BALL, CASHIER, CASHIER_PIN, LEFT, MANAGER, Setup, Shop, approval, cheap_verifier,
};
use till::door::{Answer, Approval, Command, Refusal, RefusalCode, Reply};

fn try_pin(shop: &mut Shop, user: UserId, pin: &str) -> Result<(), Refusal> {
    match shop.call(Command::SignIn {
        user,
        pin: pin.to_owned(),
    }) {
        Answer::Ok(_) => Ok(()),
        Answer::Refused(refusal) => Err(refusal),
    }
}

#[track_caller]
fn refused(result: Result<(), Refusal>, code: RefusalCode, params: serde_json::Value) {
    let refusal = result.expect_err("a refusal");
    let found = serde_json::to_value(&refusal.params).expect("plain data");
    assert_eq!((refusal.code, found), (code, params));
}

fn wrong(shop: &mut Shop, times: u32) {
    for _ in 0..times {
        try_pin(shop, CASHIER, "9999").expect_err("wrong");
    }
}

fn wait_of(shop: &mut Shop) -> i64 {
    let refusal = try_pin(shop, CASHIER, CASHIER_PIN).expect_err("waiting");
    assert_eq!(refusal.code, RefusalCode::PinWait);
    refusal.params["wait_ms"].as_i64().expect("milliseconds")
}

#[test]
fn five_wrong_pins_wait_and_every_further_one_doubles_it() {
    let mut shop = Setup::tunisia().build();
    for left in [4, 3, 2, 1] {
        let found = try_pin(&mut shop, CASHIER, "9999");
        refused(
            found,
            RefusalCode::WrongPin,
            json!({"left": left, "wait_ms": 0}),
        );
    }
    let mut wait_ms = 30_000;
    for _ in 5..10 {
        let found = try_pin(&mut shop, CASHIER, "9999");
        refused(
            found,
            RefusalCode::WrongPin,
            json!({"left": 0, "wait_ms": wait_ms}),
        );
        shop.advance_ms(wait_ms - 1);
        assert_eq!(wait_of(&mut shop), 1, "the right PIN waits too");
        shop.advance_ms(1);
        wait_ms *= 2;
    }
    refused(
        try_pin(&mut shop, CASHIER, "9999"),
        RefusalCode::PinBlocked,
        json!({}),
    );
    shop.advance_days(30);
    let blocked = try_pin(&mut shop, CASHIER, CASHIER_PIN);
    refused(blocked, RefusalCode::PinBlocked, json!({}));
    let blocks = shop
        .facts()
        .into_iter()
        .filter(|fact| matches!(fact, Fact::SignInBlocked(blocked) if blocked.failures == 10))
        .count();
    assert_eq!(blocks, 1, "said once");
    assert!(shop.status().user.is_none());
    shop.verify_clean();
}

#[test]
fn a_right_pin_forgets_the_wrong_ones() {
    let mut shop = Setup::tunisia().build();
    for _ in 0..3 {
        wrong(&mut shop, 4);
        shop.sign_in(CASHIER);
    }
    wrong(&mut shop, 4);
    let found = try_pin(&mut shop, CASHIER, "9999");
    refused(
        found,
        RefusalCode::WrongPin,
        json!({"left": 0, "wait_ms": 30_000}),
    );
}

#[test]
fn neither_reboot_nor_clock_nor_restart_shortens_the_wait() {
    let mut shop = Setup::tunisia().on_folder().build();
    wrong(&mut shop, 5);
    shop.advance_ms(10_000);
    assert_eq!(wait_of(&mut shop), 20_000);
    let wall = shop.now().wall_ms;
    shop.set_wall_ms(wall + 365 * 86_400_000);
    assert_eq!(wait_of(&mut shop), 20_000, "the wall clock says nothing");
    shop.set_wall_ms(wall);
    shop.reopen();
    assert_eq!(wait_of(&mut shop), 20_000, "a restart of the program");
    shop.reboot();
    assert_eq!(wait_of(&mut shop), 30_000, "a reboot begins it anew");
    shop.advance_ms(29_999);
    assert_eq!(wait_of(&mut shop), 1);
    shop.advance_ms(1);
    shop.sign_in(CASHIER);
}

#[test]
fn failures_are_counted_before_the_pin_is_compared() {
    let mut shop = Setup::tunisia().on_folder().build();
    wrong(&mut shop, 4);
    shop.reopen();
    let found = try_pin(&mut shop, CASHIER, "9999");
    refused(
        found,
        RefusalCode::WrongPin,
        json!({"left": 0, "wait_ms": 30_000}),
    );
}

#[test]
fn a_manager_unblocks() {
    let mut shop = Setup::tunisia().on_folder().build();
    for _ in 0..10 {
        wrong(&mut shop, 1);
        shop.advance_days(1);
    }
    shop.reopen();
    refused(
        try_pin(&mut shop, CASHIER, CASHIER_PIN),
        RefusalCode::PinBlocked,
        json!({}),
    );
    let listed = match shop.ok(Command::ListUsers {}) {
        Reply::Users { users } => users,
        other => panic!("not users: {other:?}"),
    };
    let states: Vec<(&str, bool)> = listed
        .iter()
        .map(|user| (user.name.as_str(), user.blocked))
        .collect();
    assert_eq!(states, [("Amira", true), ("Salah", false)]);
    shop.refused_with(
        Command::Unblock {
            user: CASHIER,
            approval: Approval {
                user: CASHIER,
                pin: CASHIER_PIN.to_owned(),
            },
        },
        RefusalCode::ManagerRequired,
        json!({}),
    );
    shop.ok(Command::Unblock {
        user: CASHIER,
        approval: approval(),
    });
    shop.sign_in(CASHIER);
    let unblocked = shop
        .facts()
        .into_iter()
        .any(|fact| matches!(fact, Fact::SignInBlocked(b) if b.unblocked_by == Some(MANAGER)));
    assert!(unblocked);
    shop.verify_clean();
}

#[test]
fn approvals_count_as_tries_of_the_manager() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.scan(BALL);
    let guess = Command::SetPrice {
        line: 1,
        unit_minor: 1,
        approval: Some(Approval {
            user: MANAGER,
            pin: "111111".to_owned(),
        }),
    };
    for left in [4, 3, 2, 1] {
        let params = json!({"left": left, "wait_ms": 0});
        shop.refused_with(guess.clone(), RefusalCode::WrongPin, params);
    }
    let params = json!({"left": 0, "wait_ms": 30_000});
    shop.refused_with(guess.clone(), RefusalCode::WrongPin, params);
    let right = Command::SetPrice {
        line: 1,
        unit_minor: 1,
        approval: Some(approval()),
    };
    let params = json!({"wait_ms": 30_000});
    shop.refused_with(right.clone(), RefusalCode::PinWait, params);
    assert_eq!(shop.cart().total_minor, 29_500);
    shop.advance_ms(30_000);
    assert_eq!(shop.cart_of(right).total_minor, 1);
}

#[test]
fn the_device_waits_when_many_are_tried() {
    let mut shop = Setup::tunisia().build();
    shop.set_staff(LEFT, |member| member.active = true);
    for round in 0..15 {
        let user = if round % 2 == 0 { CASHIER } else { MANAGER };
        try_pin(&mut shop, user, "9999").expect_err("wrong");
        if round < 14 {
            shop.advance_ms(600_000);
        }
    }
    let found = try_pin(&mut shop, LEFT, "5937");
    refused(found, RefusalCode::PinWait, json!({"wait_ms": 30_000}));
    shop.advance_ms(30_000);
    try_pin(&mut shop, LEFT, "5937").expect("never tried before");
}

#[test]
fn a_reset_pin_holds_here_until_head_office_sets_another() {
    let mut shop = Setup::tunisia().on_folder().build();
    wrong(&mut shop, 5);
    shop.ok(Command::ResetPin {
        user: CASHIER,
        new_pin: "60417".to_owned(),
        approval: approval(),
    });
    refused(
        try_pin(&mut shop, CASHIER, CASHIER_PIN),
        RefusalCode::WrongPin,
        json!({"left": 4, "wait_ms": 0}),
    );
    shop.reopen();
    try_pin(&mut shop, CASHIER, "60417").expect("the new PIN");
    // The same version again, with a change of name: the reset stays.
    shop.set_staff(CASHIER, |member| member.name = "Amira B.".to_owned());
    try_pin(&mut shop, CASHIER, "60417").expect("still the new PIN");
    shop.set_staff(CASHIER, |member| {
        member.pin_verifier = cheap_verifier("7702");
        member.pin_version += 1;
    });
    refused(
        try_pin(&mut shop, CASHIER, "60417"),
        RefusalCode::WrongPin,
        json!({"left": 4, "wait_ms": 0}),
    );
    try_pin(&mut shop, CASHIER, "7702").expect("head office's");
    let resets = shop
        .facts()
        .into_iter()
        .filter(|fact| matches!(fact, Fact::PinReset(reset) if reset.by == MANAGER))
        .count();
    assert_eq!(resets, 1);
    shop.verify_clean();
}

#[test]
fn a_newer_pin_of_head_office_lifts_a_block() {
    let mut shop = Setup::tunisia().build();
    for _ in 0..10 {
        wrong(&mut shop, 1);
        shop.advance_days(1);
    }
    shop.set_staff(CASHIER, |member| {
        member.pin_verifier = cheap_verifier("7702");
        member.pin_version = 2;
    });
    try_pin(&mut shop, CASHIER, "7702").expect("not blocked any more");
}

#[test]
fn somebody_who_leaves_is_signed_out() {
    let mut shop = Setup::tunisia().build();
    shop.open();
    shop.set_staff(CASHIER, |member| member.active = false);
    assert!(shop.status().user.is_none());
    let scan = Command::ScanCode {
        code: BALL.to_owned(),
    };
    shop.refused_with(scan, RefusalCode::SignInRequired, json!({}));
}

#[test]
fn signing_in_brings_the_language_and_signing_out_parks_the_cart() {
    let mut shop = Setup::tunisia().on_folder().build();
    shop.set_staff(CASHIER, |member| {
        member.language = Some(domain::catalog::Language::Ar);
    });
    shop.open();
    assert_eq!(shop.status().language, domain::catalog::Language::Ar);
    let sale = shop.scan(BALL).sale;
    shop.reopen();
    assert_eq!(
        shop.status().user.map(|user| user.name).as_deref(),
        Some("Amira")
    );
    assert_eq!(shop.cart().sale, sale);
    shop.ok(Command::SignOut {});
    assert!(shop.status().user.is_none());
    assert_eq!(shop.status().parked, 1);
    assert!(shop.cart().lines.is_empty());
    shop.sign_in(MANAGER);
    assert_eq!(shop.cart_of(Command::Recall { sale }).lines.len(), 1);
    shop.verify_clean();
}
