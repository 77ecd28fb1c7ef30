// The whole sale as people see it: head office and a till as real programs, their pages in Chromium.
//
//   node tests/e2e/run.mjs [NAME...]
//
// Needs ui/dist (npm run build in ui/) and the programs hanout-server and hanout-till in HANOUT_BIN_DIR (default
// target/debug). Pictures go to target/e2e/. Prints `N passed, N failed`; exits with 1 when something failed.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const { chromium } = createRequire(join(root, 'ui', 'package.json'))('playwright-core');
const axe = readFileSync(join(root, 'ui', 'node_modules', 'axe-core', 'axe.min.js'), 'utf8');
const bin = process.env.HANOUT_BIN_DIR || join(root, 'target', 'debug');
const ui = join(root, 'ui', 'dist');
const pictures = join(root, 'target', 'e2e');
const DEADLINE_MS = 60_000;

class Failure extends Error {}
const check = (holds, what) => { if (!holds) throw new Failure(what); };

/** Waits until `ask` answers something truthy. */
async function until(what, ask, deadlineMs = DEADLINE_MS) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Failure(`waited in vain: ${what}`);
    await new Promise((go) => setTimeout(go, 50));
  }
}

/** Starts a program and reads the JSON line it prints when it is ready. */
function start(name, args) {
  const child = spawn(join(bin, name), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let log = '';
  const gone = new Promise((go) => child.on('exit', go));
  child.stderr.on('data', (part) => { log += part; });
  const ready = new Promise((go, fail) => {
    child.on('error', fail);
    child.on('exit', (code) => fail(new Failure(`${name} ended with ${code}: ${log}`)));
    child.stdout.on('data', (part) => {
      out += part;
      const end = out.indexOf('\n');
      if (end >= 0) go(JSON.parse(out.slice(0, end)));
    });
  });
  ready.catch(() => {});
  return { ready, log: () => log, stop: async () => { child.kill('SIGTERM'); await gone; } };
}

/** A kit of the demo catalogue: two of `of`. */
const KIT = { sku: 'PACK-BOT-1', gtin: '2990101000208', of: 'BOT-INOX-1-BLK-500' };

/** Three variants of the demo catalogue that La Marsa has in stock, as `{sku, gtin}`. */
function goods() {
  const rows = readFileSync(join(root, 'sync-server', 'demo', 'atlas-sport.csv'), 'utf8').trim().split(/\r?\n/).map((line) => line.split(','));
  const head = rows[0];
  const column = (name) => head.indexOf(name);
  const found = rows.slice(1).filter((row) => row.length === head.length && /^\d{8,14}$/.test(row[column('gtins')]) && Number(row[column('stock:LM')]) >= 5 && row[column('class')] === 'shelf');
  check(found.length > 40, 'the demo catalogue has goods in stock');
  return [found[0], found[20], found[40]].map((row) => ({ sku: row[column('sku')], gtin: row[column('gtins')] }));
}

/** Drives the page of a till. */
function hands(page, session) {
  const find = (id) => page.locator(`[data-testid="${id}"]`);
  const tap = async (id) => {
    // Taps are dead for a moment after a screen came up, so the screen has to be there first.
    await find(id).waitFor({ timeout: DEADLINE_MS });
    await page.waitForSelector('html:not([data-guard])', { state: 'attached', timeout: DEADLINE_MS });
    await find(id).click({ timeout: DEADLINE_MS });
  };
  const seen = (id) => page.waitForSelector(`[data-testid="${id}"]`, { timeout: DEADLINE_MS });
  const data = (id, name) => page.evaluate(([testid, key]) => document.querySelector(`[data-testid="${testid}"]`)?.dataset[key], [id, name]);
  const pin = async (digits) => {
    for (const digit of digits) await tap('pin-' + digit);
    await tap('pin-ok');
  };
  // A wedge scanner: real key events, 4 ms apart by their own clock however busy this machine is.
  const scan = async (code) => {
    const keys = [...code].map((ch) => ({ key: ch, code: 'Digit' + ch, text: ch, windowsVirtualKeyCode: ch.charCodeAt(0) }));
    keys.push({ key: 'Enter', code: 'Enter', text: '\r', windowsVirtualKeyCode: 13 });
    const first = Date.now() / 1000 - keys.length * 0.004;
    await Promise.all(keys.flatMap((key, i) => [
      session.send('Input.dispatchKeyEvent', { type: 'keyDown', timestamp: first + i * 0.004, ...key }),
      session.send('Input.dispatchKeyEvent', { type: 'keyUp', timestamp: first + i * 0.004 + 0.001, ...key, text: undefined }),
    ]));
  };
  return { find, tap, seen, data, pin, scan };
}

/** Nothing hangs over the edge, nothing bars the way, and on the handheld nothing to tap is smaller than a fingertip. */
async function checkLayout(page, where) {
  const bad = await page.evaluate(() => {
    const found = [];
    if (document.documentElement.scrollWidth > innerWidth) found.push('the page scrolls sideways');
    for (const el of document.querySelectorAll('button, input')) {
      const box = el.getBoundingClientRect();
      if (!box.width || !box.height) continue;
      const name = el.dataset.testid || el.textContent;
      if (box.left < -1 || box.right > innerWidth + 1) found.push(`${name} is off screen`);
      if (innerWidth < 900 && el.tagName === 'BUTTON' && !el.closest('.langs') && (box.width < 47.5 || box.height < 47.5)) found.push(`${name} is ${Math.round(box.width)}x${Math.round(box.height)}`);
    }
    return found;
  });
  check(!bad.length, `${where}: ${bad.join('; ')}`);
  await page.evaluate(axe);
  const barriers = await page.evaluate(() => window.axe.run(document, { rules: { region: { enabled: false }, 'page-has-heading-one': { enabled: false } } })
    .then((result) => result.violations.map((one) => `${one.id} ${one.nodes.slice(0, 2).map((node) => node.target.join(' ')).join(', ')}`)));
  check(!barriers.length, `${where}: ${barriers.join('; ')}`);
}

async function sale(browser, { lang, width, height, name }) {
  const scratch = mkdtempSync(join(tmpdir(), 'hanout-e2e-'));
  process.env.HANOUT_WITNESS_DIR = join(scratch, 'witness');
  const running = [];
  const faults = [];
  try {
    const server = start('hanout-server', ['--data', join(scratch, 'server'), '--json', 'demo', '--listen', '127.0.0.1:0', '--ui', ui]);
    const till = start('hanout-till', ['serve', '--data', join(scratch, 'till'), '--listen', '127.0.0.1:0', '--ui', ui]);
    running.push(server, till);
    const [demo, door] = await Promise.all([server.ready, till.ready]);
    const cashier = demo.users.find((user) => user.store === 'LM' && user.role === 'cashier');
    const code = demo.codes.find((one) => one.store === 'LM').code;

    const context = await browser.newContext({ viewport: { width, height }, deviceScaleFactor: 2, hasTouch: width < 900 });
    const page = await context.newPage();
    let away = false;
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => { if (message.type() === 'error') faults.push(message.text()); });
    const { find, tap, seen, data, pin, scan } = hands(page, await context.newCDPSession(page));
    const picture = async (step, of = page) => {
      await of.waitForSelector('html:not([data-guard])', { state: 'attached' });
      await of.evaluate(() => document.fonts.ready);
      await checkLayout(of, step);
      await of.screenshot({ path: join(pictures, `${name}-${step}.png`) });
    };

    // Enrol: a wrong code says so, the right one is taken.
    await page.goto(`${door.url}/#token=${door.token}`);
    await seen('enrol-server');
    if (lang !== 'fr') await tap('lang-' + lang);
    await until('the direction follows the language', () => page.evaluate((dir) => document.documentElement.dir === dir, lang === 'ar' ? 'rtl' : 'ltr'));
    await find('enrol-server').fill(demo.server_url);
    await find('enrol-code').fill('WRONGCODE');
    await tap('enrol-go');
    await seen('enrol-error');
    await picture('1-enrol');
    await find('enrol-server').fill(demo.server_url);
    await find('enrol-code').fill(code);
    await tap('enrol-go');

    // Sign in; a wrong PIN first.
    await tap('user-' + cashier.name);
    await pin(cashier.pin.split('').reverse().join(''));
    await seen('pin-error');
    await picture('2-sign-in');
    await pin(cashier.pin);
    await seen('open-shift-go');
    if (lang !== 'fr') check(await page.evaluate(() => document.documentElement.dir) === 'rtl', 'the till keeps the language');
    await tap('count-20000-plus');
    await tap('count-10000-plus');
    await picture('3-open-shift');
    await tap('open-shift-go');
    await seen('charge');

    // What head office sees before.
    const office = await context.newPage();
    office.on('pageerror', (error) => faults.push('office: ' + error));
    await office.addInitScript((code2) => localStorage.setItem('hanout.lang', code2), lang);
    await office.goto(demo.office_url);
    await office.fill('[data-testid="office-user"]', demo.admin);
    await office.fill('[data-testid="office-password"]', demo.password);
    await office.click('[data-testid="office-sign-in"]');
    const stockOf = async (sku) => {
      await office.fill('[data-testid="stock-search"]', sku);
      const cell = await office.waitForSelector(`[data-testid="stock-${sku}-LM"]`, { timeout: DEADLINE_MS });
      return Number(await cell.evaluate((el) => el.dataset.quantity));
    };
    const items = goods();
    const before = [];
    for (const item of items) before.push(await stockOf(item.sku));

    // Scan three items, one of them twice; an unknown code changes nothing.
    await page.bringToFront();
    await scan(items[0].gtin);
    await seen('line-1');
    await scan(items[1].gtin);
    await seen('line-2');
    await scan(items[2].gtin);
    await seen('line-3');
    await scan(items[0].gtin);
    await until('the first line counts two', async () => await data('line-1', 'quantity') === '2000' || await data('line-4', 'quantity') === '1000');
    await scan('4006381333931');
    await seen('scan-error');
    check(await data('cart-units', 'units') === '4000', 'four units are in the cart');
    await picture('4-sale');
    // The cart outlives the page.
    await page.reload();
    await seen('line-3');
    check(await data('cart-units', 'units') === '4000', 'the cart outlives a reload');
    const total = Number(await data('cart-total', 'minor'));
    check(total > 0, 'the cart has a total');

    // Cash exact in two taps.
    await tap('charge');
    await seen('tender-exact');
    await picture('5-tender');
    await tap('tender-exact');
    await seen('change-due');
    check(await data('change-due', 'minor') === '0', 'exact cash gives no change');
    await picture('6-change');

    // The receipt as a picture.
    await tap('see-receipt');
    const paper = await seen('receipt-png');
    await until('the receipt is drawn', () => paper.evaluate((img) => img.complete && img.naturalWidth >= 300 && img.naturalHeight > 200));
    await picture('7-receipt');
    await tap('back');
    await tap('new-sale');
    await seen('charge');

    // The till is in step with head office, whose stock fell by what was sold.
    await until('the till is synchronised', async () => await data('sync-pill', 'state') === 'online' && await data('sync-pill', 'unsynced') === '0');
    await picture('8-synchronised');
    const sold = [2000, 1000, 1000];
    for (let i = 0; i < items.length; i++) await until(`stock of ${items[i].sku} falls by ${sold[i]}`, async () => await stockOf(items[i].sku) === before[i] - sold[i]);
    await picture('9-office-stock', office);
    // The figure opens into the events that it is made of, down to the sale just made.
    const last = items[items.length - 1];
    await office.click(`[data-testid="why-${last.sku}"]`);
    await office.click('[data-testid="why-at-LM"]');
    await office.waitForSelector('[data-testid="why-at-LM"][aria-pressed="true"]', { timeout: DEADLINE_MS });
    await until('the steps are those of the store', async () => (await office.$$('[data-testid="lineage-step"]')).length > 1);
    await office.waitForSelector('[data-testid="lineage-step"]', { timeout: DEADLINE_MS });
    const steps = await office.$$eval('[data-testid="lineage-step"]', (rows) => rows.map((row) => Number(row.dataset.quantity)));
    check(steps.length > 1 && steps[steps.length - 1] === -sold[items.length - 1], 'the last step of a figure is the sale: ' + steps);
    await picture('9-office-lineage', office);
    // A kit has as many as its parts allow, and says what they are.
    await office.fill('[data-testid="stock-search"]', KIT.sku);
    await office.waitForSelector(`[data-testid="kit-${KIT.sku}"]`, { timeout: DEADLINE_MS });
    const bottles = await stockOf(KIT.of);
    await until('a pair is two bottles', async () => await stockOf(KIT.sku) === Math.floor(bottles / 2000) * 1000);
    await picture('9-office-kit', office);
    await office.click('[data-testid="tab-takings"]');
    await until('takings are those of the sale', async () => Number(await office.getAttribute('[data-testid="takings-total-TND"]', 'data-minor', { timeout: DEADLINE_MS })) === total);
    await picture('10-office-takings', office);
    await office.click('[data-testid="tab-tills"]');
    await office.waitForSelector('[data-testid="till-row-LM-01"]', { timeout: DEADLINE_MS });
    await picture('11-office-tills', office);

    // A restored server has an incident, which goes when somebody says what was done.
    await office.click('[data-testid="tab-incidents"]');
    await office.waitForSelector('.empty', { timeout: DEADLINE_MS });
    execFileSync(join(bin, 'hanout-server'), ['--data', join(scratch, 'server'), 'tenant', 'restored', '--tenant', 'atlas']);
    await office.waitForSelector('[data-testid="incident-server_restored"]', { timeout: DEADLINE_MS });
    await office.fill('[data-testid="incident-note"]', 'LM 01');
    await picture('11-office-incidents', office);
    await office.click('[data-testid="incident-resolve"]');
    await office.waitForSelector('.empty', { timeout: DEADLINE_MS });
    await office.click('[data-testid="incidents-all"]');
    await office.waitForSelector('[data-testid="incident-server_restored"]', { timeout: DEADLINE_MS });
    await until('the till has heard of the restored server', async () => await data('sync-pill', 'state') === 'online' && await data('sync-pill', 'unsynced') === '0');

    // Without the server it sells on, and says how much waits.
    away = true;
    await office.close();
    await server.stop();
    await page.bringToFront();
    await scan(items[1].gtin);
    await seen('line-1');
    await tap('charge');
    await tap('tender-exact');
    await seen('change-due');
    await until('the pill says offline', async () => await data('sync-pill', 'state') === 'offline' && Number(await data('sync-pill', 'unsynced')) > 0);
    await picture('12-offline');
    const port = new URL(demo.server_url).port;
    const again = start('hanout-server', ['--data', join(scratch, 'server'), '--json', 'serve', '--listen', `127.0.0.1:${port}`, '--ui', ui]);
    running.push(again);
    await again.ready;
    await until('what waited is sent', async () => await data('sync-pill', 'state') === 'online' && await data('sync-pill', 'unsynced') === '0');
    away = false;
    await tap('new-sale');

    const manager = demo.users.find((user) => user.store === 'LM' && user.role === 'manager');
    const digits = async (text) => { for (const digit of text) await tap('key-' + digit); };

    // The stockroom, every screen by scan: two came in, one broke, one goes to another store and two come from there.
    const [ball, , third] = items;
    const lookUp = async (item) => {
      await scan(item.gtin);
      await tap('stock-lineage');
      const known = Number(await (await seen('lineage-quantity')).evaluate((el) => el.dataset.quantity));
      return known;
    };
    const closeSheets = async () => {
      for (let left = await page.locator('[data-testid="sheet-close"]').count(); left; left--) {
        await page.keyboard.press('Escape');
        await until('Escape closes one sheet', async () => await page.locator('[data-testid="sheet-close"]').count() < left);
      }
    };
    const scanned = async (item, times, row) => {
      for (let n = 1; n <= times; n++) {
        await scan(item.gtin);
        await until('the scan is in the list', async () => await page.locator(`[data-testid="${row}-${item.sku}"]`).count() === 1 && await data(`${row}-${item.sku}`, 'quantity') === String(n * 1000));
      }
    };
    await tap('menu');
    await tap('stock');
    await seen('stock-receive');
    await picture('12-stock-1');
    await scan(KIT.gtin);
    await until('the till says what the kit is made of', async () => (await page.textContent('[data-testid="kit-parts"]', { timeout: DEADLINE_MS })).includes(KIT.of));
    check(await page.locator('[data-testid="stock-lineage"]').count() === 0, 'a kit has no stock of its own to explain');
    await picture('12-stock-1-kit');
    await closeSheets();
    const had = await lookUp(ball);
    await picture('12-stock-2-lineage');
    await closeSheets();
    await tap('stock-receive');
    await find('goods-text').fill('BL-2026-17');
    await scanned(ball, 2, 'goods');
    await picture('12-stock-3-receive');
    await tap('goods-go');
    await tap('stock-adjust');
    await tap('adjust-damaged');
    await scanned(ball, 1, 'goods');
    await picture('12-stock-4-adjust');
    await tap('goods-go');
    await seen('pin-1');
    await pin(manager.pin);
    await tap('stock-send');
    const other = await (await page.waitForSelector('[data-testid^="place-"]', { timeout: DEADLINE_MS })).evaluate((el) => el.dataset.testid);
    await tap(other);
    await scanned(ball, 1, 'goods');
    await tap('goods-go');
    const transfer = await (await seen('stock-sent')).evaluate((el) => el.dataset.id);
    check(/^[\da-f-]{36}$/.test(transfer), 'the transfer has a number');
    await picture('12-stock-5-sent');
    await closeSheets();
    await seen('stock-lose');
    await picture('12-stock-6-on-way');
    await tap('stock-arrive');
    await tap(other);
    await find('goods-text').fill('0193a1b2-0000-7000-8000-000000000001');
    await scanned(ball, 2, 'goods');
    await tap('goods-go');
    await seen('stock-receive');
    check(await lookUp(ball) === had + 2000, 'two in, one broken, one sent, two arrived');
    await picture('12-stock-7-lineage');
    await closeSheets();
    // Counting goes on over a sale, and the sale is taken along.
    const books = await lookUp(third);
    await closeSheets();
    await tap('stock-count');
    await tap('stockcount-start');
    await seen('stockcount-finish');
    await scanned(third, 1, 'counted');
    await tap('counted-n-' + third.sku);
    await digits('7');
    await tap('number-apply');
    await until('seven are counted', async () => await data('counted-' + third.sku, 'quantity') === '7000');
    await picture('12-stock-8-count');
    await tap('back');
    await tap('back');
    await seen('charge');
    await scan(third.gtin);
    await seen('line-1');
    await tap('charge');
    await tap('tender-exact');
    await tap('new-sale');
    await tap('menu');
    await tap('stock');
    await tap('stock-count');
    await tap('stockcount-finish');
    await seen('pin-1');
    await pin(manager.pin);
    await seen('stockcount-done');
    if (books !== 7000) check(Number(await data('difference-' + third.sku, 'difference')) === 7000 - books, 'the difference is what the shelf said');
    await picture('12-stock-9-counted');
    await tap('back');
    await seen('stock-receive');
    check(await lookUp(third) === 6000, 'seven counted and one sold since');
    await closeSheets();
    await tap('back');
    await until('the stockroom is sent', async () => await data('sync-pill', 'state') === 'online' && await data('sync-pill', 'unsynced') === '0');
    await tap('menu');
    await tap('stock');
    await seen('stock-receive');
    check(await lookUp(third) === 6000 && await page.locator('[data-testid="step-counted"]').count() > 0, 'head office says the same');
    await closeSheets();
    await tap('back');

    // Money that moves without a sale: in, out with a manager's word, to the safe; and the drawer opened for nothing.
    const move = async (movement, amount) => {
      await tap(movement);
      await digits(amount);
      await tap('reason-0');
    };
    await tap('menu');
    await picture('13-menu');
    await tap('drawer');
    await seen('drawer-now');
    await picture('14-drawer');
    await move('pay-in', '50');
    await picture('15-pay-in');
    await tap('cash-go');
    await seen('drawer-now');
    await move('pay-out', '12.5');
    await tap('cash-go');
    await seen('pin-1');
    await picture('16-pay-out-approval');
    await pin(manager.pin);
    await seen('drawer-now');
    await move('drop', '20');
    await tap('cash-go');
    await seen('drawer-now');
    await tap('drop');
    await digits('99999');
    await tap('reason-1');
    await tap('cash-go');
    await page.waitForSelector('.toast.bad', { timeout: DEADLINE_MS });
    await picture('17-drawer-short');
    await tap('back');
    await tap('no-sale');
    await tap('reason-1');
    await picture('18-no-sale');
    await tap('no-sale-go');
    await page.waitForSelector('.veil', { state: 'detached', timeout: DEADLINE_MS });

    // The X says what should be there, and so does a count that closes nothing.
    await tap('x-report');
    await seen('report-expected');
    const expected = Number(await data('report-expected', 'minor'));
    check(Number(await data('moved-pay_in', 'minor')) === 50_000 && Number(await data('moved-pay_out', 'minor')) === 12_500 && Number(await data('moved-drop', 'minor')) === 20_000, 'the X knows what moved');
    check(expected > total + 17_500 + 30_000, 'float, sales and what moved are in the drawer');
    await picture('19-x');
    await tap('report-done');
    const pieces = async (minor, go) => {
      const faces = await page.evaluate(() => [...document.querySelectorAll('.count-face')].map((el) => Number(el.dataset.testid.slice(6))));
      let rest = minor;
      for (const face of faces) {
        if (rest < face) continue;
        await tap('count-' + face);
        await digits(String(Math.floor(rest / face)));
        rest %= face;
      }
      check(rest < 5, `${minor} can be counted`);
      await tap(go);
      return rest;
    };
    await tap('count-drawer');
    await seen('count-go');
    const short = await pieces(expected - 1_000, 'count-go') + 1_000;
    await seen('counted-difference');
    check(Number(await data('counted-difference', 'minor')) === -short, 'the count is short by what was left out');
    await picture('20-counted');
    await tap('counted-done');

    // Another takes the drawer with their own PIN; a sale goes on in their name.
    await tap('hand-over');
    await tap('to-' + manager.name);
    await tap('hand-over-count');
    await seen('hand-over-counted');
    await pieces(expected, 'hand-over-counted');
    await seen('pin-1');
    await picture('21-hand-over');
    await pin(manager.pin.split('').reverse().join(''));
    await seen('pin-error');
    await pin(manager.pin);
    await seen('charge');
    await tap('menu');
    await tap('drawer');
    check((await find('drawer-holder').textContent()).includes(manager.name), 'the drawer has changed hands');

    // Close with what is there: the Z proposes what goes to the bank, and stays.
    await tap('drawer-close');
    await seen('close-shift-go');
    const rest = await pieces(expected, 'close-shift-go');
    await seen('z-difference');
    check(Number(await data('z-difference', 'minor')) === 0 - rest, 'the drawer is counted as it should be');
    const deposit = Number(await data('z-deposit', 'minor'));
    check(deposit > 0 && deposit <= expected - 30_000 + 4, 'the deposit leaves the float');
    await picture('22-z');
    await tap('report-done');
    await seen('open-shift-go');
    await tap('menu');
    await tap('reports');
    await seen('report-Z1');
    await picture('23-reports');
    await tap('filter-year');
    await page.waitForSelector('[data-testid="report-Z1"]', { state: 'detached', timeout: DEADLINE_MS });
    await tap('filter-z');
    await tap('report-Z1');
    await seen('z-png');
    await tap('report-reprint');
    await seen('copies');
    check(await data('copies', 'count') === '1', 'the copy is counted');
    await picture('24-z-copy');
    await tap('report-balance');
    await seen('balance-even');
    check(await data('balance-even', 'debit') === await data('balance-even', 'credit') && Number(await data('balance-even', 'debit')) > total, 'the books of the shift balance');
    await picture('25-balance');
    await tap('balance-of-all');
    await page.waitForSelector('[data-testid="balance-of-all"][aria-pressed="true"]', { timeout: DEADLINE_MS });
    check(await data('balance-even', 'debit') === await data('balance-even', 'credit'), 'the whole journal balances');
    await tap('back');
    await tap('back');
    // A copy of the books, and a check of them.
    await tap('back');
    await tap('menu');
    await tap('system');
    await seen('backups');
    const copies = Number(await data('backups', 'count'));
    await tap('backup-now');
    // The shift's end is copied by itself, which counts too and is nobody's work on screen. The page works from the tap
    // until its own copy is made; three of one day are kept.
    await until('the books are copied', async () => await data('system', 'working') === 'false' && Number(await data('backups', 'count')) >= Math.min(copies + 1, 3));
    check(await find('system-problem').count() === 0, 'the copy was made');
    await tap('verify-ledger');
    await until('the books are checked', async () => await data('last-check', 'ok') === 'true');
    await picture('26-system');
    await tap('back');
    await tap('menu');
    await tap('reports');
    // Nothing has ended yet that could be closed.
    await tap('close-periods');
    await page.waitForSelector('.toast.bad', { timeout: DEADLINE_MS });
    await tap('back');
    await seen('open-shift-go');
    check(!away && !faults.length, `the pages complained: ${faults.join(' | ')}`);
    await context.close();
  } catch (error) {
    const pages = browser.contexts().flatMap((context) => context.pages());
    for (const [i, page] of pages.entries()) await page.screenshot({ path: join(pictures, `${name}-failed-${i}.png`) }).catch(() => {});
    for (const context of browser.contexts()) await context.close().catch(() => {});
    const logs = running.map((program) => program.log().trim()).filter(Boolean).join('\n');
    throw new Failure(`${error.message}${faults.length ? `\n  page: ${faults.join(' | ')}` : ''}${logs ? `\n  log: ${logs}` : ''}`);
  } finally {
    for (const program of running) await program.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
}

const SIZES = [['handheld', 360, 720], ['desktop', 1366, 768]];
const cases = ['fr', 'ar'].flatMap((lang) => SIZES.map(([size, width, height]) => ({ name: `${size}-${lang}`, lang, width, height })));
const wanted = process.argv.slice(2);
for (const need of [join(ui, 'app.js'), join(bin, 'hanout-server'), join(bin, 'hanout-till')]) {
  if (!existsSync(need)) {
    process.stderr.write(`${need} is missing: build ui/ and the programs first\n`);
    process.exit(1);
  }
}
mkdirSync(pictures, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.HANOUT_CHROMIUM || '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic'],
});
let passed = 0;
let failed = 0;
for (const one of cases.filter((each) => !wanted.length || wanted.includes(each.name))) {
  const began = Date.now();
  try {
    await sale(browser, one);
    passed += 1;
    process.stdout.write(`ok   ${one.name} (${((Date.now() - began) / 1000).toFixed(1)} s)\n`);
  } catch (error) {
    failed += 1;
    process.stdout.write(`FAIL ${one.name}: ${error.message}\n`);
  }
}
await browser.close();
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exit(failed || !passed ? 1 : 0);
