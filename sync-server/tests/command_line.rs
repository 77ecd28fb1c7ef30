//! The command line as an operator uses it: help, exit codes, JSON, and set-up from nothing to a verified tenant.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn server(data: &Path, args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hanout-server"))
        .args(args)
        .env_clear()
        .env("HANOUT_SERVER_DATA", data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hanout-server");
    let mut pipe = child.stdin.take().expect("stdin");
    // A command that reads nothing may be gone already.
    let _ = pipe.write_all(stdin.as_bytes());
    drop(pipe);
    child.wait_with_output().expect("output")
}

/// Runs with `--json` and expects exit code `code`.
fn json(data: &Path, args: &[&str], stdin: &str, code: i32) -> Value {
    let mut all = vec!["--json"];
    all.extend(args);
    let output = server(data, &all, stdin);
    let text = String::from_utf8(output.stdout).expect("utf-8");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{args:?}: {text} {errors}"
    );
    assert_eq!(text.lines().count(), 1, "{args:?}: {text}");
    serde_json::from_str(&text).expect("json")
}

#[test]
fn help_is_what_was_agreed() {
    let commands: &[&[&str]] = &[
        &[],
        &["serve"],
        &["tenant"],
        &["tenant", "create"],
        &["tenant", "list"],
        &["tenant", "restored"],
        &["store"],
        &["store", "create"],
        &["store", "list"],
        &["store", "refresh"],
        &["store", "rules"],
        &["device"],
        &["device", "code"],
        &["device", "list"],
        &["device", "confirm"],
        &["device", "revoke"],
        &["user"],
        &["user", "create"],
        &["user", "list"],
        &["user", "set-pin"],
        &["user", "set-password"],
        &["import"],
        &["stock"],
        &["stock", "class"],
        &["stock", "rights"],
        &["stock", "why"],
        &["stream"],
        &["stream", "list"],
        &["stream", "seal"],
        &["incident"],
        &["incident", "list"],
        &["incident", "resolve"],
        &["verify"],
        &["demo"],
    ];
    let dir = tempfile::tempdir().expect("directory");
    let mut all = String::new();
    for command in commands {
        let mut args = command.to_vec();
        args.push("--help");
        let output = server(dir.path(), &args, "");
        assert_eq!(output.status.code(), Some(0), "{command:?}");
        let help = String::from_utf8(output.stdout).expect("utf-8");
        let data = dir.path().display().to_string();
        all.push_str(&format!("$ hanout-server {}\n", args.join(" ")));
        all.push_str(&help.replace(&data, ""));
        all.push('\n');
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help.txt");
    if std::env::var_os("HANOUT_UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &all).expect("write");
    }
    let agreed = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        agreed == all,
        "help has changed; if that is meant, run with HANOUT_UPDATE_GOLDEN=1:\n{all}"
    );
}

#[test]
fn wrong_usage_exits_with_2() {
    let dir = tempfile::tempdir().expect("directory");
    for args in [
        &["nonsense"][..],
        &[],
        &["device", "code", "--tenant", "t"],
        &[
            "store", "create", "--tenant", "t", "--store", "LM", "--name", "x",
        ],
        &[
            "store", "create", "--tenant", "a b", "--store", "LM", "--name", "x",
        ],
        &["serve", "--listen", "nowhere"],
        &["import", "--tenant", "t"],
    ] {
        assert_eq!(
            server(dir.path(), args, "").status.code(),
            Some(2),
            "{args:?}"
        );
    }
}

#[test]
fn a_chain_is_set_up_from_nothing() {
    let dir = tempfile::tempdir().expect("directory");
    let data = dir.path();
    let t = ["--tenant", "sport"];
    let create = [
        "tenant", "create", "--tenant", "sport", "--chain", "Sport", "--admin", "Leïla",
    ];
    let made = json(data, &create, "", 0);
    assert_eq!(made["password"].as_str().map(str::len), Some(23));
    let again = json(data, &create, "", 1);
    assert_eq!(again["error"], "tenant sport exists");
    let alone = json(data, &["verify"], "", 0);
    for field in ["ok", "first_bad", "streams", "feeds", "projections"] {
        assert!(alone.get(field).is_some(), "{field}: {alone}");
    }
    assert_eq!(alone.get("tenants"), None);
    assert_eq!(alone, json(data, &["verify", t[0], t[1]], "", 0));
    let mut short = create.to_vec();
    short[3] = "other";
    short.push("--password-stdin");
    assert_eq!(json(data, &short, "short\n", 1)["ok"], false);
    assert_eq!(
        json(data, &short, "long enough!\n", 0)["password"],
        Value::Null
    );
    assert_eq!(
        json(data, &["tenant", "list"], "", 0)["tenants"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );

    let store = |code, country, list| {
        let args = [
            "store",
            "create",
            t[0],
            t[1],
            "--store",
            code,
            "--name",
            "Magasin",
            "--country",
            country,
            "--price-list",
            list,
        ];
        args.map(str::to_owned).to_vec()
    };
    let run = |args: Vec<String>, code| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        json(data, &args, "", code)
    };
    assert_eq!(run(store("LM", "TN", "TN"), 0)["currency"], "TND");
    assert_eq!(run(store("LM", "TN", "TN"), 1)["error"], "store LM exists");
    assert_eq!(
        run(store("CA", "MA", "TN"), 1)["error"],
        "price list TN is in TND"
    );
    assert_eq!(run(store("CA", "MA", "MA"), 0)["currency"], "MAD");
    let online = [
        "store", "create", t[0], t[1], "--store", "WEB", "--name", "Web", "--online",
    ];
    assert_eq!(json(data, &online, "", 0)["location"], "WEB");
    let listed = json(data, &["store", "list", t[0], t[1]], "", 0);
    assert_eq!(listed["locations"].as_array().map(Vec::len), Some(3));

    let code = [
        "device", "code", t[0], t[1], "--store", "LM", "--till", "01",
    ];
    let code = json(data, &code, "", 0);
    let text = code["code"].as_str().expect("code");
    assert!(text.starts_with("sport.") && text.len() == 14, "{text}");
    let nowhere = [
        "device", "code", t[0], t[1], "--store", "XX", "--till", "01",
    ];
    assert_eq!(json(data, &nowhere, "", 1)["error"], "no store XX");
    let listed = json(data, &["device", "list", t[0], t[1]], "", 0);
    assert_eq!(listed["waiting"][0]["fingerprint"], Value::Null);
    let confirm = ["device", "confirm", t[0], t[1], "--fingerprint", "123456"];
    assert_eq!(json(data, &confirm, "", 1)["ok"], false);

    let user = |name, role, more: &[&'static str]| {
        let mut args = vec![
            "user", "create", t[0], t[1], "--store", "LM", "--name", name, "--role", role,
        ];
        args.extend(more);
        args
    };
    let made = json(data, &user("Amira", "cashier", &[]), "", 0);
    assert_eq!(made["pin"].as_str().map(str::len), Some(4));
    let pinned = user("Slim", "manager", &["--pin-stdin"]);
    assert_eq!(json(data, &pinned, "1234\n", 1)["ok"], false);
    assert_eq!(json(data, &pinned, "482617\n", 0)["pin"], Value::Null);
    assert_eq!(
        json(data, &pinned, "482617\n", 1)["error"],
        "user Slim exists"
    );
    let reset = [
        "user", "set-pin", t[0], t[1], "--store", "LM", "--name", "Slim",
    ];
    assert_eq!(
        json(data, &reset, "", 0)["pin"].as_str().map(str::len),
        Some(6)
    );
    let password = ["user", "set-password", t[0], t[1], "--name", "Leïla"];
    assert!(json(data, &password, "", 0)["password"].is_string());
    let listed = json(data, &["user", "list", t[0], t[1]], "", 0);
    assert_eq!(listed["users"].as_array().map(Vec::len), Some(2));
    assert!(!listed.to_string().contains("argon2"));

    let file = data.join("catalogue.csv");
    let csv = "style,name_fr,tax,sku,price:TN,price:MA,stock:LM,stock:WEB\n\
               BAL,Ballon,standard,BAL-5,12.500,45.00,4,1\n";
    std::fs::write(&file, csv.replace("12.500", "12.50001")).expect("file");
    let path = file.to_str().expect("path");
    let import = ["import", t[0], t[1], path, "--opening-stock"];
    let report = json(data, &import, "", 1);
    assert_eq!(report["errors"][0]["code"], "too_many_decimals");
    assert_eq!(
        (&report["ok"], &report["applied"]),
        (&false.into(), &false.into())
    );
    std::fs::write(&file, csv).expect("file");
    let mut dry = import.to_vec();
    dry.push("--dry-run");
    assert_eq!(json(data, &dry, "", 0)["applied"], false);
    let report = json(data, &import, "", 0);
    assert_eq!(
        (&report["applied"], &report["counted"]),
        (&true.into(), &2.into())
    );
    assert_eq!(
        json(data, &["import", t[0], t[1], "missing.csv"], "", 1)["ok"],
        false
    );

    let report = json(data, &["verify", t[0], t[1]], "", 0);
    assert_eq!(
        (&report["ok"], &report["first_bad"]),
        (&true.into(), &Value::Null)
    );
    assert_eq!(report["feeds"]["cat"]["ver"], 1);
    assert_eq!(
        report["streams"].as_object().map(serde_json::Map::len),
        Some(1)
    );
    let all = json(data, &["verify"], "", 0);
    assert_eq!(
        all["tenants"].as_object().map(serde_json::Map::len),
        Some(2)
    );
    assert_eq!(all["ok"], true);
    let unknown = server(data, &["verify", "--tenant", "nobody"], "");
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&unknown.stderr),
        "error: no tenant nobody\n"
    );
}

/// The stores of tenant `sport` as the server keeps them.
fn stores(data: &Path) -> Vec<domain::config::StoreConfig> {
    let tenant = domain::ids::TenantId::new("sport").expect("a code");
    let hub = sync_server::DataDir::existing(data).expect("the folder");
    let hub = hub.hub(&tenant).expect("the tenant");
    hub.stores().expect("stores")
}

#[test]
fn a_store_takes_its_law_from_the_country_s_pack() {
    let dir = tempfile::tempdir().expect("directory");
    let data = dir.path();
    let t = ["--tenant", "sport"];
    let tenant = [
        "tenant", "create", t[0], t[1], "--chain", "Sport", "--admin", "Leila",
    ];
    json(data, &tenant, "", 0);
    let create = |code: &'static str, country: &'static str, more: &[&'static str]| {
        let mut args = vec![
            "store",
            "create",
            t[0],
            t[1],
            "--store",
            code,
            "--name",
            "M",
            "--country",
            country,
        ];
        args.extend(more);
        args
    };
    for (country, more, error) in [
        (
            "TN",
            &["--identity", "mf=1219773U"][..],
            "mf: not a matricule fiscal like 0000121J/A/M/000",
        ),
        (
            "TN",
            &["--identity", "ice=001561191000066"],
            "TN has no identifier ice",
        ),
        (
            "MA",
            &["--identity", "ice=001561191000065"],
            "ice: the check digits do not fit",
        ),
        ("MA", &["--identity", "ice=12345"], "ice: not 15 digits"),
        ("MA", &["--ticket-levy"], "MA has no levy on tickets"),
        (
            "TN",
            &["--cash-rounding-minor", "7"],
            "cash is rounded to one of [5, 10, 50] minor units in TN",
        ),
    ] {
        let refused = json(data, &create("XX", country, more), "", 1);
        assert_eq!(refused["error"], error, "{more:?}");
    }
    let usage = server(data, &create("XX", "TN", &["--identity", "mf"]), "");
    assert_eq!(usage.status.code(), Some(2));
    assert!(stores(data).is_empty(), "a refused store is not made");

    let tunis = create(
        "LM",
        "TN",
        &[
            "--identity",
            "mf=121j/a/m/000",
            "--legal",
            "SARL",
            "--ticket-levy",
            "--cash-rounding-minor",
            "50",
            "--cash-rounding-mode",
            "down",
        ],
    );
    let made = json(data, &tunis, "", 0);
    assert_eq!(made["identity"]["mf"], "0000121JAM000");
    assert_eq!(made["warnings"], serde_json::json!([]));
    let odd = create("TC", "TN", &["--identity", "mf=0000121K/A/M/000"]);
    let text = server(data, &odd, "");
    assert_eq!(text.status.code(), Some(0));
    let text = String::from_utf8(text.stdout).expect("utf-8");
    assert!(
        text.contains("warning: mf: the key letter should be J\n"),
        "{text}"
    );
    let casa = json(
        data,
        &create("CA", "MA", &["--identity", "ice=001561191000066"]),
        "",
        0,
    );
    assert_eq!(
        casa["warnings"],
        serde_json::json!(["if is mandatory and missing", "tp is mandatory and missing"])
    );

    let kept = stores(data);
    let store = |code: &str| {
        kept.iter()
            .find(|config| config.store.as_str() == code)
            .expect("made")
    };
    let day = |text: &str| text.parse::<domain::time::BusinessDate>().expect("a date");
    let today = day("2026-11-22");
    let standard = domain::ids::TaxCategory::new("standard").expect("a category");
    let rate = |code, date| {
        store(code)
            .rate_on(&standard, date)
            .map(|rate| rate.to_string())
    };
    assert_eq!(rate("LM", today).as_deref(), Some("19"));
    assert_eq!(rate("CA", today).as_deref(), Some("20"));
    assert_eq!(store("LM").legal, ["MF 0000121J/A/M/000", "SARL"]);
    assert_eq!(store("LM").levies[0].minor, 100);
    assert!(
        store("TC").levies.is_empty(),
        "off unless the tenant is liable"
    );
    assert_eq!(
        store("LM").cash_rounding.expect("rounds").mode,
        domain::config::RoundingMode::Down
    );
    assert_eq!(store("CA").cash_stamp_bp_on(today), Some(25));
    assert_eq!(store("LM").cash_stamp_bp_on(today), None);
    let ceiling = store("CA").cash_ceiling_on(today).expect("a ceiling");
    assert_eq!(ceiling.hard_from_minor, Some(2_000_000));
    assert_eq!(store("LM").denominations_on(today).first(), Some(&5));

    let rules = [
        "store",
        "rules",
        t[0],
        t[1],
        "--store",
        "LM",
        "--drawers",
        "2",
        "--blind-count",
        "true",
    ];
    let changed = json(data, &rules, "", 0);
    assert_eq!(
        (&changed["drawers"], &changed["blind_count"]),
        (&2.into(), &true.into())
    );
    let again = [
        "store",
        "rules",
        t[0],
        t[1],
        "--store",
        "LM",
        "--pay-out-limit-minor",
        "5000",
    ];
    assert_eq!(
        json(data, &again, "", 0)["drawers"],
        2,
        "what is not given stays"
    );
    assert!(store("LM").receipt_code, "on unless it is switched off");
    for on in ["false", "true"] {
        let switched = [&again[..6], &["--receipt-code", on]].concat();
        let changed = json(data, &switched, "", 0);
        assert_eq!(
            (&changed["receipt_code"], &changed["drawers"]),
            (&(on == "true").into(), &2.into())
        );
        let kept = stores(data);
        let lm = kept.iter().find(|config| config.store.as_str() == "LM");
        assert_eq!(lm.map(|config| config.receipt_code), Some(on == "true"));
    }
    let too_many = [
        "store",
        "rules",
        t[0],
        t[1],
        "--store",
        "LM",
        "--drawers",
        "10",
    ];
    assert_eq!(server(data, &too_many, "").status.code(), Some(2));
    let nowhere = ["store", "rules", t[0], t[1], "--store", "XX"];
    assert_eq!(server(data, &nowhere, "").status.code(), Some(1));

    let refresh = ["store", "refresh", t[0], t[1]];
    let same = json(data, &refresh, "", 0);
    assert_eq!(same["refreshed"], serde_json::json!([]));
    let mut pack: Value =
        serde_json::from_str(include_str!("../../crates/domain/packs/tn.json")).expect("json");
    pack["tax_rates"][0]["to"] = "2026-12-31".into();
    let row = serde_json::json!({"category": "standard", "rate": "20", "from": "2027-01-01",
        "basis": "loi de finances 2027", "source": "a test"});
    pack["tax_rates"].as_array_mut().expect("rows").push(row);
    let file = data.join("tn-2027.json");
    std::fs::write(&file, pack.to_string()).expect("file");
    let mut with_file = refresh.to_vec();
    with_file.extend(["--pack", file.to_str().expect("path")]);
    let changed = json(data, &with_file, "", 0);
    assert_eq!(changed["refreshed"], serde_json::json!(["LM", "TC"]));
    let kept = stores(data);
    let store = |code: &str| {
        kept.iter()
            .find(|config| config.store.as_str() == code)
            .expect("made")
    };
    let rate = |code, date| {
        store(code)
            .rate_on(&standard, date)
            .map(|rate| rate.to_string())
    };
    assert_eq!(rate("LM", today).as_deref(), Some("19"));
    assert_eq!(rate("LM", day("2027-01-01")).as_deref(), Some("20"));
    assert_eq!(rate("CA", day("2027-01-01")).as_deref(), Some("20"));
    assert_eq!(store("LM").levies.len(), 1, "what the tenant decided stays");
    assert!(store("TC").levies.is_empty());
    pack["tax_rates"][0]["to"] = "2027-01-01".into();
    std::fs::write(&file, pack.to_string()).expect("file");
    assert_eq!(
        json(data, &with_file, "", 1)["error"],
        "two rows of tax rate standard hold on one day"
    );
    let mut nowhere = refresh.to_vec();
    nowhere.extend(["--store", "XX"]);
    assert_eq!(json(data, &nowhere, "", 1)["error"], "no store XX");
}

#[test]
fn a_directory_that_cannot_be_used_and_a_port_in_use_are_said_clearly() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("file");
    let output = server(&file, &["tenant", "list"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be used"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
    let addr = taken.local_addr().expect("address").to_string();
    let output = server(dir.path(), &["serve", "--listen", &addr], "");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("cannot listen on"), "{error}");
}

#[test]
fn a_mistyped_folder_is_neither_made_nor_called_healthy() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = folder.path().join("nosuch");
    for args in [
        &["verify"][..],
        &["tenant", "list"],
        &["store", "list", "--tenant", "atlas"],
    ] {
        let answer = json(&missing, args, "", 1);
        assert_eq!(answer["ok"], false, "{args:?}");
        let output = server(&missing, args, "");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("nosuch"), "{args:?}: {error}");
        assert!(error.contains("cannot be used: "), "{args:?}: {error}");
    }
    assert!(!missing.exists());
}

#[cfg(unix)]
#[test]
fn a_new_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let create = [
        "tenant", "create", "--tenant", "sport", "--chain", "Sport", "--admin", "Leïla",
    ];
    json(&data, &create, "", 0);
    for made in [data.clone(), data.join("tenants")] {
        let mode = std::fs::metadata(&made).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", made.display());
    }
}

#[test]
fn an_article_is_guarded_and_a_restored_file_says_so() {
    let dir = tempfile::tempdir().expect("directory");
    let data = dir.path();
    let t = ["--tenant", "sport"];
    let tenant = [
        "tenant", "create", t[0], t[1], "--chain", "Sport", "--admin", "Leila",
    ];
    json(data, &tenant, "", 0);
    let store = [
        "store",
        "create",
        t[0],
        t[1],
        "--store",
        "LM",
        "--name",
        "M",
        "--country",
        "TN",
    ];
    json(data, &store, "", 0);
    let file = data.join("catalogue.csv");
    let csv = "style,name_fr,tax,sku,price:TN,stock:LM\nPOP,Concert,standard,POP-1,40.000,3\n";
    std::fs::write(&file, csv).expect("file");
    let path = file.to_str().expect("path");
    json(
        data,
        &["import", t[0], t[1], path, "--opening-stock"],
        "",
        0,
    );

    let why = |sku: &'static str, at: &'static str| {
        ["stock", "why", t[0], t[1], "--sku", sku, "--location", at]
    };
    let lineage = json(data, &why("POP-1", "LM"), "", 0);
    assert_eq!(lineage["lineage"]["quantity"], 3_000, "{lineage}");
    let zone = &lineage["lineage"]["zones"][0];
    assert_eq!(zone["count"]["kind"], "StockCounted");
    assert_eq!(zone["steps"], serde_json::json!([]));
    let text = server(data, &why("POP-1", "LM"), "");
    let text = String::from_utf8(text.stdout).expect("utf-8");
    assert!(text.starts_with("3 at LM\nmain: 3\n"), "{text}");
    assert!(
        text.ends_with("  server  =3  StockCounted -> 3\n"),
        "{text}"
    );
    assert_eq!(
        json(data, &why("NONE", "LM"), "", 1)["error"],
        "no SKU NONE"
    );
    assert_eq!(
        json(data, &why("POP-1", "XX"), "", 1)["error"],
        "no location XX"
    );

    let rights = ["stock", "rights", t[0], t[1], "--sku", "POP-1"];
    assert_eq!(json(data, &rights, "", 0)["places"], serde_json::json!([]));
    let class = |sku: &'static str, more: &[&'static str]| {
        let mut args = vec!["stock", "class", t[0], t[1], "--sku", sku, "--class"];
        args.extend(more);
        args
    };
    assert_eq!(
        json(data, &class("NONE", &["strict"]), "", 1)["error"],
        "no SKU NONE"
    );
    assert_eq!(
        json(
            data,
            &class("POP-1", &["strict", "--location", "XX"]),
            "",
            1
        )["error"],
        "no location XX"
    );
    let usage = server(data, &class("POP-1", &["loose"]), "");
    assert_eq!(usage.status.code(), Some(2));
    let set = json(
        data,
        &class("POP-1", &["strict", "--location", "LM"]),
        "",
        0,
    );
    assert_eq!(set["class"], "strict");
    assert_eq!(
        json(data, &rights, "", 0)["places"],
        serde_json::json!([
            { "location": "LM", "on_hand": 3_000, "free": 3_000, "promised": 0, "holders": [] }
        ])
    );
    let text = server(data, &rights, "");
    assert_eq!(
        String::from_utf8_lossy(&text.stdout),
        "LM  3 on hand, 3 free, 0 promised\n"
    );

    let seal = |stream: &'static str| {
        [
            "stream", "seal", t[0], t[1], "--stream", stream, "--reason", "lost",
        ]
    };
    let unknown = json(data, &seal("00000000000000000000000000000001"), "", 1);
    assert_eq!(
        unknown["error"],
        "no stream 00000000000000000000000000000001"
    );
    let usage = server(data, &seal("short"), "");
    assert_eq!(usage.status.code(), Some(2));

    let list = ["incident", "list", t[0], t[1]];
    let none = server(data, &list, "");
    assert_eq!(String::from_utf8_lossy(&none.stdout), "none\n");
    assert_eq!(
        json(data, &["tenant", "restored", t[0], t[1]], "", 0)["epoch"],
        2
    );
    let raised = json(data, &list, "", 0);
    assert_eq!(raised["incidents"][0]["kind"], "server_restored");
    let id = raised["incidents"][0]["incident"].as_str().expect("an id");
    let resolve = |note| {
        [
            "incident",
            "resolve",
            t[0],
            t[1],
            "--incident",
            id,
            "--note",
            note,
        ]
    };
    assert_eq!(
        json(data, &resolve(" \u{7} "), "", 1)["error"],
        "the note cannot be used"
    );
    json(data, &resolve("the shops were rung up"), "", 0);
    let again = json(data, &resolve("twice"), "", 1);
    assert_eq!(again["error"], format!("no open incident {id}"));
    assert_eq!(json(data, &list, "", 0)["incidents"], serde_json::json!([]));
    let all = json(data, &[&list[..], &["--all"]].concat(), "", 0);
    assert_eq!(all["incidents"][0]["note"], "the shops were rung up");
    assert_eq!(json(data, &["verify", t[0], t[1]], "", 0)["ok"], true);
}
